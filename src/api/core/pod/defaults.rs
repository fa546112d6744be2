//! Defaults of pods and pod templates. Models `pkg/apis/core/v1/defaults.go`.

use apimachinery::{Quantity, Value, value};

use crate::edit::Edit;

/// What pods get and templates do not.
pub fn pod(e: &mut Edit) {
    e.sub_or_new("spec", |spec| {
        let host_network = spec.get("hostNetwork").and_then(Value::as_bool) == Some(true);
        for list in ["containers", "initContainers"] {
            spec.each(list, |c| {
                requests_from_limits(c);
                if host_network {
                    c.each("ports", |p| {
                        let port = p.get("containerPort").and_then(Value::as_i64).unwrap_or(0);
                        p.default_int("hostPort", port);
                    });
                }
            });
        }
        pod_spec(spec);
        pod_level_requests(spec);
        spec.default("enableServiceLinks", true);
    });
}

/// The template of a workload: `metadata` is always printed.
pub fn template(e: &mut Edit) {
    e.default("metadata", Value::map());
    e.sub_or_new("spec", pod_spec);
}

/// `SetDefaults_PodSpec` and of everything in it.
pub fn pod_spec(spec: &mut Edit) {
    spec.default_sym("dnsPolicy", "ClusterFirst");
    spec.default_sym("restartPolicy", "Always");
    spec.default("securityContext", Value::map());
    spec.default("terminationGracePeriodSeconds", 30);
    spec.default_sym("schedulerName", "default-scheduler");
    if spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64).is_some_and(|n| n < 0) {
        spec.set("terminationGracePeriodSeconds", 1);
    }
    service_account_alias(spec);
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        spec.each(list, container);
    }
    spec.each("volumes", volume);
    spec.sub("resources", resources);
    quantities(spec, "overhead");
}

/// `serviceAccount` is the old name of `serviceAccountName`: both are printed.
fn service_account_alias(spec: &mut Edit) {
    let name = spec.get("serviceAccountName").filter(|v| !v.is_empty());
    match (name.cloned(), spec.get("serviceAccount").filter(|v| !v.is_empty()).cloned()) {
        (Some(name), _) => spec.set("serviceAccount", name),
        (None, Some(alias)) => spec.set("serviceAccountName", alias),
        (None, None) => {}
    }
}

fn container(c: &mut Edit) {
    if c.str("imagePullPolicy").is_empty() {
        let policy = pull_policy(c.str("image"));
        c.default_sym("imagePullPolicy", policy);
    }
    c.default_sym("terminationMessagePath", "/dev/termination-log");
    c.default_sym("terminationMessagePolicy", "File");
    c.default("resources", Value::map());
    c.sub("resources", resources);
    c.each("ports", |p| p.default_sym("protocol", "TCP"));
    c.each("env", |env| env.sub("valueFrom", |from| field_refs(from, "fieldRef", "resourceFieldRef")));
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        c.sub(name, probe);
    }
    c.sub("lifecycle", |l| {
        l.sub("postStart", handler);
        l.sub("preStop", handler);
    });
    c.sub("securityContext", |_| {});
}

/// `Always` for `latest` (or no) tag without a digest.
fn pull_policy(image: &str) -> &'static str {
    let digest = image.contains('@');
    let last = image.rsplit('/').next().unwrap_or(image);
    match last.split_once(':') {
        _ if digest => "IfNotPresent",
        None | Some((_, "latest")) => "Always",
        Some(_) => "IfNotPresent",
    }
}

fn probe(p: &mut Edit) {
    p.default_int("timeoutSeconds", 1);
    p.default_int("periodSeconds", 10);
    p.default_int("successThreshold", 1);
    p.default_int("failureThreshold", 3);
    handler(p);
}

fn handler(h: &mut Edit) {
    h.sub("httpGet", |get| {
        get.default_sym("path", "/");
        get.default_sym("scheme", "HTTP");
    });
    h.sub("grpc", |grpc| grpc.default("service", ""));
}

fn field_refs(e: &mut Edit, field: &str, resource: &str) {
    e.sub(field, |r| r.default_sym("apiVersion", "v1"));
    e.sub(resource, |r| {
        r.default("divisor", "0");
        quantity(r, "divisor");
    });
}

fn resources(r: &mut Edit) {
    quantities(r, "limits");
    quantities(r, "requests");
}

/// Puts the quantities of a resource list into canonical form, rounded up to a milli.
pub fn quantities(e: &mut Edit, list: &str) {
    e.each_member(list, |q| {
        if let Some(text) = canonical(q.value()) {
            q.replace(text.into());
        }
    });
}

/// As [`quantities`], for one member.
pub fn quantity(e: &mut Edit, name: &str) {
    if let Some(text) = e.get(name).and_then(canonical) {
        e.set(name, text);
    }
}

/// The canonical text of a quantity that is not written so.
fn canonical(v: &Value) -> Option<String> {
    let text = v.as_str();
    // The usual ones ("500m", "128Mi", "2") are canonical already.
    if text.is_some_and(is_plain) {
        return None;
    }
    let q = Quantity::from_value(v).ok()?;
    let mut out = q.canonical();
    if out.ends_with('u') || out.ends_with('n') {
        out = format!("{}m", q.milli_value());
    }
    (text != Some(&*out)).then_some(out)
}

/// At most three digits without a leading zero, then nothing, `m`, `Ki`, `Mi` or `Gi`.
pub fn is_plain(s: &str) -> bool {
    let digits = s.bytes().take_while(u8::is_ascii_digit).count();
    (1..=3).contains(&digits) && !s.starts_with('0') && matches!(&s[digits..], "" | "m" | "Ki" | "Mi" | "Gi")
}

/// A limit without a request is the request too. Pods only.
fn requests_from_limits(c: &mut Edit) {
    let missing = |r: &Value| {
        let requests = r.get("requests");
        r.map_at(&["limits"]).is_some_and(|l| l.keys().any(|k| requests.is_none_or(|q| q.get(k).is_none())))
    };
    if !c.get("resources").is_some_and(missing) {
        return;
    }
    c.sub("resources", |r| {
        let limits = r.get("limits").cloned().unwrap_or_default();
        r.sub_or_new("requests", |requests| {
            let mut merged = requests.value().clone();
            for (k, v) in limits.as_map().into_iter().flatten() {
                if merged.get(k).is_none() {
                    merged.map_mut().insert(k.clone(), v);
                }
            }
            requests.replace(merged);
        });
    });
}

/// Pod-level requests that are missing: what the containers ask for together, else the limit.
fn pod_level_requests(spec: &mut Edit) {
    let Some(limits) = spec.get("resources").and_then(|r| r.get("limits")).cloned() else { return };
    let containers = spec.get("containers").cloned().unwrap_or_default();
    spec.sub("resources", |r| {
        for (name, limit) in limits.as_map().into_iter().flatten() {
            if r.get("requests").and_then(|q| q.get(name)).is_some() {
                continue;
            }
            if !matches!(&**name, "cpu" | "memory") && !name.starts_with("hugepages-") {
                continue;
            }
            let mut sum: Option<Quantity> = None;
            for c in containers.items() {
                if let Some(q) = c.at(&["resources", "requests", name]).and_then(|q| Quantity::from_value(q).ok()) {
                    sum = Some(sum.map_or(q, |s| s + q));
                }
            }
            let request = sum.map_or(limit.clone(), |s| s.canonical().into());
            r.sub_or_new("requests", |requests| requests.set(name, request));
        }
    });
}

const SOURCES_WITH_MODE: [&str; 4] = ["secret", "configMap", "downwardAPI", "projected"];

fn volume(v: &mut Edit) {
    let has_source = v.value().as_map().is_some_and(|m| m.iter().any(|(k, v)| &**k != "name" && !v.is_null()));
    if !has_source {
        v.set("emptyDir", Value::map());
        return;
    }
    for source in SOURCES_WITH_MODE {
        v.sub(source, |s| s.default("defaultMode", 0o644));
    }
    v.sub("emptyDir", |s| quantity(s, "sizeLimit"));
    v.sub("downwardAPI", |s| s.each("items", |i| field_refs(i, "fieldRef", "resourceFieldRef")));
    v.sub("projected", |p| {
        p.each("sources", |s| {
            s.sub("downwardAPI", |d| d.each("items", |i| field_refs(i, "fieldRef", "resourceFieldRef")));
            s.sub("serviceAccountToken", |t| t.default_int("expirationSeconds", 3600));
        });
    });
    v.sub("ephemeral", |e| {
        e.sub("volumeClaimTemplate", |t| {
            t.default("metadata", Value::map());
            t.sub_or_new("spec", claim_spec);
        })
    });
    if v.has("image") {
        v.sub("image", |i| {
            let policy = pull_policy(i.str("reference"));
            i.default_sym("pullPolicy", policy);
        });
    }
    persistent_source(v);
}

/// Defaults of the sources that pods and PersistentVolumes share.
pub fn persistent_source(v: &mut Edit) {
    v.sub("hostPath", |s| s.default("type", ""));
    v.sub("iscsi", |s| s.default_sym("iscsiInterface", "default"));
    v.sub("rbd", |s| {
        s.default_sym("pool", "rbd");
        s.default_sym("user", "admin");
        s.default_sym("keyring", "/etc/ceph/keyring");
    });
    v.sub("azureDisk", |s| {
        s.default_sym("cachingMode", "ReadWrite");
        s.default_sym("kind", "Shared");
        s.default_sym("fsType", "ext4");
        s.default("readOnly", false);
    });
    v.sub("scaleIO", |s| {
        s.default_sym("storageMode", "ThinProvisioned");
        s.default_sym("fsType", "xfs");
    });
}

/// A claim's spec: volume mode, and `resources` is always printed.
pub fn claim_spec(spec: &mut Edit) {
    if !spec.has("volumeMode") {
        spec.set("volumeMode", Value::sym("Filesystem"));
    }
    spec.default("resources", value!({}));
    spec.sub("resources", resources);
}
