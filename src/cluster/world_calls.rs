//! Sockets of a machine that the world answers at: systemd's, the journal's, and the cloud's command line on the laptop.
//!
//! A program calls `unix:///run/systemd/…`; its machine hands the request up (`HostMessage::Call`), and the answer goes back as the
//! response to that call: a JSON text with what is to be printed, and the exit code.

use std::rc::Rc;

use apimachinery::{Request, Response, ResponseBody, Value, json, value};
use base::{Duration, Time};
use cri_api::cri;
use sim::{Addr, MsgId, Outbox, Payload};

use crate::cluster::{Cluster, Observer};
use crate::journald;
use crate::systemd::{Said, Unit};

type Text = Rc<str>;

impl Cluster {
    /// A program on `from`'s machine has called.
    pub(crate) fn world_call(
        &mut self,
        from: Addr,
        handling: MsgId,
        call: u64,
        request: &Rc<Request>,
        observer: &mut impl Observer,
    ) {
        let Some(machine) = self.proc(from).map(|p| p.machine.clone()) else { return };
        let mut out = Outbox::new(from, handling, self.now());
        let all = |name: &str| -> Vec<Text> {
            request.options.query.iter().filter(|(k, _)| &**k == name).map(|(_, v)| v.clone()).collect()
        };
        let answer = match &*request.path {
            "/journal" => self.journalctl(&machine, request),
            "/machine" => self.machine_facts(&machine),
            "/machine/reset" => {
                self.end_all_pods(&machine, observer);
                of(&Said::default())
            }
            "/cloud/delete" => {
                let mut said = self.no_cloud();
                let names = if self.cloud().is_some() { all("name") } else { Vec::new() };
                for name in &names {
                    match self.delete_machine(name, observer) {
                        true => said.out += &format!("machine {name} deleted\n"),
                        false => (said.err, said.code) = (format!("cloud: there is no machine {name}\n"), 1),
                    }
                }
                of(&said)
            }
            "/cloud/create" => {
                let mut said = self.no_cloud();
                if self.cloud().is_some() {
                    let name = self.add_machine(true, observer);
                    let ip = self.nodes.get(&name).map_or_else(String::new, |n| n.config.ip.to_string());
                    said.out = format!("machine {name} created ({ip}): a blank one, for kubeadm join\n");
                }
                of(&said)
            }
            path if path.starts_with("/cloud/") => match self.cloud() {
                // The cloud answers itself: its console is a request like any other.
                Some(cloud) => {
                    out.request(cloud, call, Request::get_path(&path["/cloud".len()..]));
                    return self.queue.dispatch(out, |m, at| observer.sent(m, at));
                }
                None => of(&self.no_cloud()),
            },
            path => match path.strip_prefix("/systemd/") {
                Some(verb) if self.nodes.contains_key(&machine) => {
                    let said = self.systemctl(&machine, verb, &all("unit"), observer);
                    of(&said)
                }
                _ => of(&Said {
                    err: "System has not been booted with systemd as init system.\n".into(),
                    code: 1,
                    ..Said::default()
                }),
            },
        };
        let body = ResponseBody::Text("application/json".into(), json::to_string(&answer).into());
        out.respond(from, call, Response { code: 200, warnings: Vec::new(), body });
        self.queue.dispatch(out, |m, at| observer.sent(m, at));
    }

    /// What kubeadm wants to know of its machine.
    fn machine_facts(&self, machine: &str) -> Value {
        let node = self.nodes.get(machine);
        let ports: Vec<Value> = self
            .procs()
            .filter(|(_, p)| *p.machine == *machine && p.is_running())
            .flat_map(|(_, p)| match p.component() {
                "kube-apiserver" => &[6443][..],
                "kube-controller-manager" => &[10257],
                "kube-scheduler" => &[10259],
                "etcd" => &[2379, 2380],
                "kubelet" => &[10250],
                _ => &[],
            })
            .map(|port| Value::Int(*port))
            .collect();
        let kubelet = self.kubelet(machine);
        value!({
            "ip": (node.map_or_else(|| "127.0.0.1".to_string(), |n| n.config.ip.to_string())), "ports": ports,
            "externalCloud": (self.config.cloud.is_some()), "bootstrapped": (kubelet.is_some_and(|k| !k.is_bootstrapping()))
        })
    }

    /// `kubeadm reset` ends and removes what the runtime has. The kubelet is stopped: nobody waits for the answers.
    fn end_all_pods(&mut self, machine: &str, observer: &mut impl Observer) {
        let Some(node) = self.nodes.get(machine).cloned() else { return };
        let Some(runtime) = node.runtime else { return };
        let sandboxes: Vec<Text> =
            self.machine(machine).map(|m| m.sandboxes().map(|(id, _)| id.clone()).collect()).unwrap_or_default();
        for (n, sandbox) in sandboxes.into_iter().enumerate() {
            let id = u64::MAX - 2 * n as u64;
            for (id, request) in [
                (id, cri::Request::StopPodSandbox { sandbox: sandbox.clone() }),
                (id - 1, cri::Request::RemovePodSandbox { sandbox }),
            ] {
                let request = Payload::Cri(Rc::new(cri::Message::Request { id, request }));
                self.queue.inject(node.kubelet, runtime, request, |m, at| observer.sent(m, at));
            }
        }
    }

    /// Why there is nothing to be had from a cloud; empty: there is one.
    fn no_cloud(&self) -> Said {
        match self.cloud() {
            Some(_) => Said::default(),
            None => Said {
                err:
                    "cloud: these machines are not rented from a cloud. There is one with the configuration `cloud: {}`, or when \
                      cloud-controller-manager runs: kubectl apply -f /usr/share/kubottle/cloud-controller-manager.yaml\n"
                        .into(),
                code: 1,
                ..Said::default()
            },
        }
    }

    fn journalctl(&self, machine: &str, request: &Request) -> Value {
        let number = |name: &str| request.options.query(name).and_then(|n| n.parse::<u64>().ok());
        let units = request.options.query.iter().filter(|(k, _)| &**k == "unit").filter_map(|(_, v)| Unit::parse(v)).collect();
        let asked = journald::Asked {
            units,
            after: number("after").unwrap_or(0),
            newest: number("newest").map(|n| n as usize),
            since: number("since").map(|s| Time(self.now().0 - Duration::from_secs(s.min(1 << 40) as i64).as_micros())),
            reverse: request.options.query("reverse") == Some("true"),
            bare: request.options.query("bare") == Some("true"),
        };
        let (lines, last) = self.read_journal(machine, &asked);
        value!({"out": lines, "err": "", "code": 0, "last": (last as i64)})
    }
}

fn of(said: &Said) -> Value {
    value!({"out": (&*said.out), "err": (&*said.err), "code": (i64::from(said.code))})
}
