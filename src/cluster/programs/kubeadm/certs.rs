//! `kubeadm certs`: when certificates end, and new ones.

use base::Time;

use super::script::{Cx, Step};
use super::token::{left, table};
use super::{Line, administrator, fail};
use crate::kubeadm_files::{AUTHORITIES, CERTIFICATES, CONFS, Facts, not_after, renewed, renewed_conf};

/// `Jan 01, 2027 00:00 UTC`
fn date(at: Time) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (y, mo, d, h, mi, _) = at.civil();
    format!("{} {d:02}, {y} {h:02}:{mi:02} UTC", MONTHS[(mo as usize + 11) % 12])
}

/// Name, path and authority of everything that ends, in kubeadm's order.
fn all() -> Vec<(String, String, &'static str)> {
    let mut all: Vec<(String, String, &'static str)> = CERTIFICATES
        .iter()
        .map(|c| (c.file.replace('/', "-"), format!("/etc/kubernetes/pki/{}.crt", c.file), c.authority))
        .chain(CONFS.iter().map(|(file, ..)| (file.to_string(), format!("/etc/kubernetes/{file}"), "ca")))
        .collect();
    use base::Sort as _;
    all.order();
    all
}

/// The end of a certificate's life, in a file of its own or in a kubeconfig.
fn end_of(text: &str) -> Option<Time> {
    not_after(text).or_else(|| {
        let data = text.lines().find_map(|l| l.trim().strip_prefix("client-certificate-data: "))?;
        not_after(&String::from_utf8_lossy(&kubectl::base64::decode(data)?))
    })
}

pub(super) fn check(cx: &mut Cx<'_, '_>) -> Step<i32> {
    let now = cx.now();
    let row = |cx: &mut Cx<'_, '_>, path: &str| {
        let text = cx.read(path)?;
        let end = end_of(&text)?;
        Some((date(end), left(end.since(now))))
    };
    let mut rows =
        vec![["CERTIFICATE", "EXPIRES", "RESIDUAL TIME", "CERTIFICATE AUTHORITY", "EXTERNALLY MANAGED"].map(String::from)];
    for (name, path, authority) in all() {
        match row(cx, &path) {
            Some((expires, residual)) => rows.push([name, expires, residual, authority.into(), "no".into()]),
            None => rows.push([format!("!MISSING! {name}"), String::new(), String::new(), String::new(), String::new()]),
        }
    }
    let mut authorities = vec![["CERTIFICATE AUTHORITY", "EXPIRES", "RESIDUAL TIME", "EXTERNALLY MANAGED"].map(String::from)];
    for (name, file, _) in AUTHORITIES {
        match row(cx, &format!("/etc/kubernetes/pki/{file}.crt")) {
            Some((expires, residual)) => authorities.push([name.into(), expires, residual, "no".into()]),
            None => authorities.push([format!("!MISSING! {name}"), String::new(), String::new(), String::new()]),
        }
    }
    let text = format!("{}\n{}", table(&rows, rows.len()), table(&authorities, authorities.len()));
    cx.say(text);
    Ok(0)
}

pub(super) fn renew(cx: &mut Cx<'_, '_>, names: &[&str]) -> Step<i32> {
    let line = Line { words: Vec::new(), flags: Vec::new() };
    let endpoint = match administrator(cx, &line) {
        Ok((server, _)) => server,
        Err(error) => return fail(cx, &error),
    };
    let (now, node) = (cx.now(), cx.hostname());
    let ip = super::preflight::address(cx)?;
    let seed = base::Seed(base::hash64(node.as_bytes()) ^ now.0 as u64);
    let facts = Facts {
        endpoint,
        pod_cidr: "".into(),
        service_cidr: "".into(),
        members: Vec::new(),
        external_cloud: false,
        local_etcd: true,
        seed,
    };
    for name in names {
        let known = all().into_iter().map(|(n, ..)| n).filter(|n| *name == "all" || n == name).collect::<Vec<_>>();
        if known.is_empty() {
            return fail(cx, &format!("unknown command \"{name}\" for \"kubeadm certs renew\""));
        }
        for one in known {
            if let Some(certificate) = CERTIFICATES.iter().find(|c| c.file.replace('/', "-") == one) {
                for (path, text, mode) in renewed(certificate, &facts, &node, now) {
                    cx.write(&path, &text, mode);
                }
                cx.say(format!("certificate for {one} renewed\n"));
            } else if let Some(conf) = CONFS.iter().find(|(file, ..)| *file == one) {
                let (path, text, mode) = renewed_conf(conf, &facts, &ip, now);
                cx.write(&path, &text, mode);
                cx.say(format!("certificate embedded in the kubeconfig file {one} renewed\n"));
            }
        }
    }
    cx.say("\nDone renewing certificates. You must restart the kube-apiserver, kube-controller-manager, kube-scheduler and etcd, so that they can use the new certificates.\n");
    Ok(0)
}
