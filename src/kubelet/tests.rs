//! A kubelet between a scripted runtime and a small stand-in for kube-apiserver: what it writes, as a timeline.

mod scripted_runtime;
mod timeline;
mod world;

use base::Duration;
use expect_test::expect;

use world::{Script, World};

const WEB: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers: [{name: web, image: nginx:1.27, imagePullPolicy: IfNotPresent}]
";

const ALL: &str = "
apiVersion: v1
kind: Pod
metadata: {name: all}
spec:
  restartPolicy: Never
  initContainers:
  - {name: plain, image: busybox:1.36}
  - {name: side, image: busybox:1.36, restartPolicy: Always}
  containers: [{name: app, image: busybox:1.36}]
";

#[test]
fn from_nothing_to_gone() {
    let mut world = World::new();
    world.scripts.insert("web", Script::AtSignal(0));
    world.bind(WEB);
    world.run(2);
    world.delete("web", 30);
    world.run(2);
    world.check(expect![[r#"
        +0.002s status
                    [Initialized].status="True"
                    [PodReadyToStartContainers].message="no pod sandbox exists"
                    [PodReadyToStartContainers].reason="PodSandboxNotReady"
                    [PodReadyToStartContainers].status="False"
                    [Ready].message="containers with unready status: [web]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[web].ready=false
                    container[web].restartCount=0
                    container[web].state.waiting.reason="ContainerCreating"
        +0.403s status
                    [PodReadyToStartContainers].status="True"
                    [PodReadyToStartContainers].reason removed
        +0.403s Event Normal Pulled: Container image "nginx:1.27" already present on machine and can be accessed by the pod
        +0.414s Event Normal Created: Container created
        +0.465s Event Normal Started: Container started
        +0.476s status
                    [Ready].status="True"
                    container[web].ready=true
                    phase="Running"
                    [Ready].reason removed
                    container[web].state.waiting.reason removed
        +2.000s deletion asked for
        +2.001s Event Normal Killing: Stopping container web
        +2.002s status
        +2.104s status
                    [Initialized].reason="PodCompleted"
                    [PodReadyToStartContainers].message="pod sandbox is not ready"
                    [PodReadyToStartContainers].reason="PodSandboxNotReady"
                    [PodReadyToStartContainers].status="False"
                    [Ready].reason="PodCompleted"
                    [Ready].status="False"
                    container[web].ready=false
                    container[web].state.terminated.exitCode=0
                    container[web].state.terminated.reason="Completed"
                    phase="Succeeded"
        +2.106s deleted
    "#]]);
}

#[test]
fn crash_loop() {
    let mut world = World::new();
    world.scripts.insert("c", Script::Ends(300, 3));
    world.bind(&WEB.replace("web", "c"));
    world.run(45);
    world.check(expect![[r#"
        +0.002s status
                    [Initialized].status="True"
                    [PodReadyToStartContainers].message="no pod sandbox exists"
                    [PodReadyToStartContainers].reason="PodSandboxNotReady"
                    [PodReadyToStartContainers].status="False"
                    [Ready].message="containers with unready status: [c]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[c].ready=false
                    container[c].restartCount=0
                    container[c].state.waiting.reason="ContainerCreating"
        +0.403s status
                    [PodReadyToStartContainers].status="True"
                    [PodReadyToStartContainers].reason removed
        +0.403s Event Normal Pulled: Container image "nginx:1.27" already present on machine and can be accessed by the pod
        +0.414s Event Normal Created: Container created
        +0.465s Event Normal Started: Container started
        +0.476s status
                    [Ready].status="True"
                    container[c].ready=true
                    phase="Running"
                    [Ready].reason removed
                    container[c].state.waiting.reason removed
        +1.002s status
                    [Ready].message="containers with unready status: [c]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[c].ready=false
                    container[c].state.terminated.exitCode=3
                    container[c].state.terminated.reason="Error"
        +1.002s Event x2 Pulled: Container image "nginx:1.27" already present on machine and can be accessed by the pod
        +1.013s Event x2 Created: Container created
        +1.064s Event x2 Started: Container started
        +1.075s status
                    [Ready].status="True"
                    container[c].lastState.terminated.exitCode=3
                    container[c].lastState.terminated.reason="Error"
                    container[c].ready=true
                    container[c].restartCount=1
                    [Ready].reason removed
                    container[c].state.terminated.reason removed
        +2.001s Event Warning BackOff: Back-off restarting failed container c in pod c_default(uid-c)
        +2.002s status
                    [Ready].message="containers with unready status: [c]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[c].ready=false
                    container[c].state.terminated.exitCode=3
                    container[c].state.terminated.reason="Error"
        +12.153s status
                    container[c].state.waiting.message="back-off 10s restarting failed container=c pod=c_default(uid-c)"
                    container[c].state.waiting.reason="CrashLoopBackOff"
                    container[c].state.terminated.reason removed
        +12.153s Event x3 Pulled: Container image "nginx:1.27" already present on machine and can be accessed by the pod
        +12.164s Event x3 Created: Container created
        +12.215s Event x3 Started: Container started
        +12.226s status
                    [Ready].status="True"
                    container[c].ready=true
                    container[c].restartCount=2
                    [Ready].reason removed
                    container[c].state.waiting.reason removed
        +13.001s Event x2 BackOff: Back-off restarting failed container c in pod c_default(uid-c)
        +13.002s status
                    [Ready].message="containers with unready status: [c]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[c].ready=false
                    container[c].state.terminated.exitCode=3
                    container[c].state.terminated.reason="Error"
        +41.362s status
                    container[c].state.waiting.message="back-off 20s restarting failed container=c pod=c_default(uid-c)"
                    container[c].state.waiting.reason="CrashLoopBackOff"
                    container[c].state.terminated.reason removed
        +41.362s Event x4 Pulled: Container image "nginx:1.27" already present on machine and can be accessed by the pod
        +41.374s Event x4 Created: Container created
        +41.425s Event x4 Started: Container started
        +41.435s status
                    [Ready].status="True"
                    container[c].ready=true
                    container[c].restartCount=3
                    [Ready].reason removed
                    container[c].state.waiting.reason removed
        +42.001s Event x3 BackOff: Back-off restarting failed container c in pod c_default(uid-c)
        +42.002s status
                    [Ready].message="containers with unready status: [c]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[c].ready=false
                    container[c].state.terminated.exitCode=3
                    container[c].state.terminated.reason="Error"
    "#]]);
}

#[test]
fn init_sidecar_and_app() {
    let mut world = World::new();
    world.scripts = [("plain", Script::Ends(1000, 0)), ("side", Script::AtSignal(0)), ("app", Script::Ends(3000, 0))].into();
    world.bind(ALL);
    world.run(10);
    world.check(expect![[r#"
        +0.002s status
                    [Initialized].message="containers with incomplete status: [plain side]"
                    [Initialized].reason="ContainersNotInitialized"
                    [Initialized].status="False"
                    [PodReadyToStartContainers].message="no pod sandbox exists"
                    [PodReadyToStartContainers].reason="PodSandboxNotReady"
                    [PodReadyToStartContainers].status="False"
                    [Ready].message="containers with unready status: [side app]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[app].ready=false
                    container[app].restartCount=0
                    container[app].state.waiting.reason="PodInitializing"
                    initContainer[plain].ready=false
                    initContainer[plain].restartCount=0
                    initContainer[plain].state.waiting.reason="PodInitializing"
                    initContainer[side].ready=false
                    initContainer[side].restartCount=0
                    initContainer[side].state.waiting.reason="PodInitializing"
        +0.403s status
                    [PodReadyToStartContainers].status="True"
                    [PodReadyToStartContainers].reason removed
        +0.403s Event Normal Pulled: Container image "busybox:1.36" already present on machine and can be accessed by the pod
        +0.414s Event Normal Created: Container created
        +0.465s Event Normal Started: Container started
        +0.476s status
                    initContainer[plain].state.waiting.reason removed
        +2.002s status
                    [Initialized].message="containers with incomplete status: [side]"
                    initContainer[plain].ready=true
                    initContainer[plain].state.terminated.exitCode=0
                    initContainer[plain].state.terminated.reason="Completed"
        +2.002s Event Normal Pulled: Container image "busybox:1.36" already present on machine and can be accessed by the pod
        +2.013s Event Normal Created: Container created
        +2.064s Event Normal Started: Container started
        +2.075s status
                    [Initialized].status="True"
                    [Ready].message="containers with unready status: [app]"
                    initContainer[side].ready=true
                    [Initialized].reason removed
                    initContainer[side].state.waiting.reason removed
        +2.075s Event Normal Pulled: Container image "busybox:1.36" already present on machine and can be accessed by the pod
        +2.086s Event Normal Created: Container created
        +2.137s Event Normal Started: Container started
        +2.148s status
                    [Ready].status="True"
                    container[app].ready=true
                    phase="Running"
                    [Ready].reason removed
                    container[app].state.waiting.reason removed
        +6.001s Event Normal Killing: Stopping container side
        +6.002s status
                    [Ready].message="containers with unready status: [app]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[app].ready=false
                    container[app].state.terminated.exitCode=0
                    container[app].state.terminated.reason="Completed"
        +7.002s status
                    [Initialized].reason="PodCompleted"
                    [PodReadyToStartContainers].message="pod sandbox is not ready"
                    [PodReadyToStartContainers].reason="PodSandboxNotReady"
                    [PodReadyToStartContainers].status="False"
                    [Ready].reason="PodCompleted"
                    initContainer[side].ready=false
                    initContainer[side].state.terminated.exitCode=0
                    initContainer[side].state.terminated.reason="Completed"
                    phase="Succeeded"
    "#]]);
}

#[test]
fn image_missing() {
    let mut world = World::new();
    world.missing_image = "nosuch:1";
    world.bind(&WEB.replace("nginx:1.27", "nosuch:1"));
    world.run(30);
    world.check(expect![[r#"
        +0.002s status
                    [Initialized].status="True"
                    [PodReadyToStartContainers].message="no pod sandbox exists"
                    [PodReadyToStartContainers].reason="PodSandboxNotReady"
                    [PodReadyToStartContainers].status="False"
                    [Ready].message="containers with unready status: [web]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[web].ready=false
                    container[web].restartCount=0
                    container[web].state.waiting.reason="ContainerCreating"
        +0.403s status
                    [PodReadyToStartContainers].status="True"
                    [PodReadyToStartContainers].reason removed
        +0.403s Event Normal Pulling: Pulling image "nosuch:1"
        +0.604s Event Warning Failed: Failed to pull image "nosuch:1": rpc error: code = NotFound desc = nosuch:1: not found
        +0.605s Event Warning Failed: Error: ErrImagePull
        +0.615s status
                    container[web].state.waiting.message="rpc error: code = NotFound desc = nosuch:1: not found"
                    container[web].state.waiting.reason="ErrImagePull"
        +0.615s Event Normal BackOff: Back-off pulling image "nosuch:1"
        +0.616s Event Warning Failed: Error: ImagePullBackOff
        +15.553s status
                    container[web].state.waiting.message="Back-off pulling image \"nosuch:1\": ErrImagePull: rpc error: code = NotFound desc = nosuch:1: not found"
                    container[web].state.waiting.reason="ImagePullBackOff"
        +15.553s Event x2 Pulling: Pulling image "nosuch:1"
        +15.754s Event x2 Failed: Failed to pull image "nosuch:1": rpc error: code = NotFound desc = nosuch:1: not found
        +15.755s Event x2 Failed: Error: ErrImagePull
        +28.141s status
                    container[web].state.waiting.message="rpc error: code = NotFound desc = nosuch:1: not found"
                    container[web].state.waiting.reason="ErrImagePull"
        +28.141s Event x2 BackOff: Back-off pulling image "nosuch:1"
        +28.142s Event x2 Failed: Error: ImagePullBackOff
    "#]]);
}

#[test]
fn liveness() {
    let mut world = World::new();
    world.scripts.insert("web", Script::AtSignal(137));
    world.exec_ok = |since| since < Duration::from_secs(6);
    let probe = "imagePullPolicy: IfNotPresent, livenessProbe: {exec: {command: [check]}, periodSeconds: 2, failureThreshold: 2}";
    world.bind(&WEB.replace("imagePullPolicy: IfNotPresent", probe));
    world.run(12);
    world.check(expect![[r#"
        +0.002s status
                    [Initialized].status="True"
                    [PodReadyToStartContainers].message="no pod sandbox exists"
                    [PodReadyToStartContainers].reason="PodSandboxNotReady"
                    [PodReadyToStartContainers].status="False"
                    [Ready].message="containers with unready status: [web]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[web].ready=false
                    container[web].restartCount=0
                    container[web].state.waiting.reason="ContainerCreating"
        +0.403s status
                    [PodReadyToStartContainers].status="True"
                    [PodReadyToStartContainers].reason removed
        +0.403s Event Normal Pulled: Container image "nginx:1.27" already present on machine and can be accessed by the pod
        +0.414s Event Normal Created: Container created
        +0.465s Event Normal Started: Container started
        +0.476s status
                    [Ready].status="True"
                    container[web].ready=true
                    phase="Running"
                    [Ready].reason removed
                    container[web].state.waiting.reason removed
        +6.888s Event Warning Unhealthy: Liveness probe failed: no
        +8.888s Event x2 Unhealthy: Liveness probe failed: no
        +8.889s Event Normal Killing: Container web failed liveness probe, will be restarted
        +8.990s Event x2 Pulled: Container image "nginx:1.27" already present on machine and can be accessed by the pod
        +9.001s Event x2 Created: Container created
        +9.052s Event x2 Started: Container started
        +9.063s status
                    container[web].lastState.terminated.exitCode=137
                    container[web].lastState.terminated.reason="Error"
                    container[web].restartCount=1
        +10.888s Event x3 Unhealthy: Liveness probe failed: no
    "#]]);
}

#[test]
fn missing_config_map() {
    let mut world = World::new();
    world.bind(&format!("{WEB}  volumes: [{{name: conf, configMap: {{name: nothere}}}}]\n"));
    world.run(6);
    world.check(expect![[r#"
        +0.002s status
                    [Initialized].status="True"
                    [PodReadyToStartContainers].message="no pod sandbox exists"
                    [PodReadyToStartContainers].reason="PodSandboxNotReady"
                    [PodReadyToStartContainers].status="False"
                    [Ready].message="containers with unready status: [web]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[web].ready=false
                    container[web].restartCount=0
                    container[web].state.waiting.reason="ContainerCreating"
        +0.051s Event Warning FailedMount: MountVolume.SetUp failed for volume "conf" : configmap "nothere" not found
        +0.551s Event x2 FailedMount: MountVolume.SetUp failed for volume "conf" : configmap "nothere" not found
        +1.551s Event x3 FailedMount: MountVolume.SetUp failed for volume "conf" : configmap "nothere" not found
        +3.551s Event x4 FailedMount: MountVolume.SetUp failed for volume "conf" : configmap "nothere" not found
    "#]]);
}
