//! The signing controller: approved requests of Kubernetes' own signers get a certificate. Models `pkg/controller/certificates/signer`.
//!
//! TLS is not modelled in the bottle: the certificate has the form of one (X.509 in DER), subject and public key of the request, and
//! a signature that is none. Inside the bottle clients read only the subject. Left out: `legacy-unknown`, other curves' checks of
//! the key, the cleaner and the approver.

use apimachinery::{Object, ObjectKey, Request, Value, jwt, value};
use base::{Duration, Seed, Time};
use client_go::Delta;

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure_but_not_found};
use crate::resources::{CERTIFICATESIGNINGREQUESTS, Res, gvr};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
/// A number of the arc for examples (RFC 5612): no algorithm signs here.
const ALGORITHM: &[u8] = &[0x30, 0x0b, 0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x81, 0xfd, 0x59, 0x01];
/// `CN=kubernetes`
const ISSUER: &[u8] = b"\x30\x15\x31\x13\x30\x11\x06\x03\x55\x04\x03\x13\x0akubernetes";
/// `--cluster-signing-duration`
const LIFE: Duration = Duration::from_secs(365 * 24 * 3600);

#[derive(Clone)]
pub struct SigningController {
    pub key: Seed,
}

/// What a signer may be asked for: usages that must and that may be there.
fn usages(signer: &str) -> Option<(&'static [&'static str], &'static [&'static str])> {
    match signer {
        "kubernetes.io/kube-apiserver-client" => Some((&["client auth"], &["digital signature", "key encipherment"])),
        "kubernetes.io/kube-apiserver-client-kubelet" => Some((&["digital signature", "client auth"], &["key encipherment"])),
        "kubernetes.io/kubelet-serving" => Some((&["digital signature", "server auth"], &["key encipherment"])),
        _ => None,
    }
}

/// Whether it waits for its certificate.
fn is_due(csr: &Object) -> bool {
    let has = |kind: &str| csr.condition_is_true(kind);
    let signed = csr.str_at(&["status", "certificate"]).is_some_and(|c| !c.is_empty());
    let known = usages(csr.str_at(&["spec", "signerName"]).unwrap_or("")).is_some();
    known && has("Approved") && !has("Denied") && !has("Failed") && !signed
}

fn usages_fit(csr: &Object) -> bool {
    let Some((must, may)) = usages(csr.str_at(&["spec", "signerName"]).unwrap_or("")) else { return false };
    let given: Vec<&str> = csr.list_at(&["spec", "usages"]).iter().filter_map(Value::as_str).collect();
    must.iter().all(|u| given.contains(u)) && given.iter().all(|u| must.contains(u) || may.contains(u))
}

impl SigningController {
    /// The certificate in PEM, in base64. `None`: the request can't be read.
    fn certificate(&self, csr: &Object, now: Time) -> Option<String> {
        let pem = String::from_utf8(jwt::from_standard64(csr.str_at(&["spec", "request"])?)?).ok()?;
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
        let (subject, public_key) = parts(&jwt::from_standard64(&body)?)?;
        let life = csr.int_at(&["spec", "expirationSeconds"]).map_or(LIFE, |s| Duration::from_secs(s).min(LIFE));
        // Clocks may differ: it is good from five minutes before.
        let from = Time(now.0 - Duration::from_secs(300).as_micros());
        let serial = self.key.derive(csr.uid()).draw(0) >> 1;
        let validity = element(SEQUENCE, &[utc_time(from), utc_time(from + life)].concat());
        let body = element(
            SEQUENCE,
            &[
                &element(0xa0, &element(INTEGER, &[2]))[..],
                &element(INTEGER, &serial.to_be_bytes()),
                ALGORITHM,
                ISSUER,
                &validity,
                &subject,
                &public_key,
            ]
            .concat(),
        );
        let der = element(SEQUENCE, &[&body[..], ALGORITHM, &element(0x03, b"\0not signed")].concat());
        let text = jwt::standard64(&der);
        let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
        Some(jwt::standard64(pem.as_bytes()))
    }
}

/// The request's subject and public key, each with its tag and length.
fn parts(request: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (whole, _) = split(request)?;
    let (info, _) = split(content(whole)?)?;
    let (_version, rest) = split(content(info)?)?;
    let (subject, rest) = split(rest)?;
    let (public_key, _) = split(rest)?;
    Some((subject.to_vec(), public_key.to_vec()))
}

/// The length of an element's header and of its content.
fn lengths(der: &[u8]) -> Option<(usize, usize)> {
    let first = *der.get(1)? as usize;
    if first < 0x80 {
        return Some((2, first));
    }
    let n = first & 0x7f;
    let bytes = der.get(2..2 + n).filter(|_| (1..=4).contains(&n))?;
    Some((2 + n, bytes.iter().fold(0, |len, b| len << 8 | *b as usize)))
}

/// The first element with its header, and what follows.
fn split(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, len) = lengths(der)?;
    der.split_at_checked(header.checked_add(len)?)
}

fn content(element: &[u8]) -> Option<&[u8]> {
    element.get(lengths(element)?.0..)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        n if n < 0x80 => out.push(n as u8),
        n if n < 0x100 => out.extend([0x81, n as u8]),
        n => out.extend([0x82, (n >> 8) as u8, n as u8]),
    }
    out.extend(content);
    out
}

fn utc_time(time: Time) -> Vec<u8> {
    let (y, mo, d, h, mi, s) = time.civil();
    element(0x17, format!("{:02}{mo:02}{d:02}{h:02}{mi:02}{s:02}Z", y % 100).as_bytes())
}

impl Controller for SigningController {
    type Key = ObjectKey;
    type Stage = ();

    fn info(&self) -> Info {
        let name = "certificatesigningrequest-signing-controller";
        Info { name, account: "certificate-controller", source: name, workers: 5 }
    }
    fn watches(&self) -> &'static [Res] {
        &[CERTIFICATESIGNINGREQUESTS]
    }
    fn on_event(&mut self, _: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        if delta.new.as_ref().is_some_and(is_due) {
            queue.add(delta.object().key());
        }
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<()> {
        let Some(csr) = ctx.caches.get(CERTIFICATESIGNINGREQUESTS, key).filter(|c| is_due(c)) else { return Plan::Done };
        let mut signed = csr.clone();
        let why = match self.certificate(csr, ctx.now).filter(|_| usages_fit(csr)) {
            Some(certificate) => {
                signed.set_at(&["status", "certificate"], certificate);
                format!("{} is approved", key.name)
            }
            None => {
                let now = ctx.now.rfc3339();
                let failed = value!({
                    "type": "Failed", "status": "True", "reason": "SignerValidationFailure",
                    "message": "the request's usages or contents are not those of its signer",
                    "lastUpdateTime": (now.as_str()), "lastTransitionTime": (now.as_str())
                });
                signed.value_mut().entry(&["status", "conditions"]).list_mut().push(failed);
                format!("{} can't be signed", key.name)
            }
        };
        Plan::call(why, Request::update_status(gvr(CERTIFICATESIGNINGREQUESTS), signed), ())
    }
    fn resume(&mut self, _: &ObjectKey, (): (), outcomes: &[Outcome], _: &mut Ctx) -> Plan<()> {
        failure_but_not_found(outcomes).map_or(Plan::Done, Plan::Retry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request as openssl makes it, without its key and signature: subject `O=dev, CN=dana`.
    fn request() -> String {
        let name = |last: u8, text: &[u8]| {
            let pair = element(SEQUENCE, &[&[0x06, 0x03, 0x55, 0x04, last][..], &element(0x0c, text)].concat());
            element(0x31, &pair)
        };
        let subject = element(SEQUENCE, &[name(10, b"dev"), name(3, b"dana")].concat());
        let info = element(SEQUENCE, &[&element(INTEGER, &[0])[..], &subject, &element(SEQUENCE, b"key"), &[0xa0, 0]].concat());
        let der = element(SEQUENCE, &[&info[..], ALGORITHM, &element(0x03, b"\0")].concat());
        let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n", jwt::standard64(&der));
        jwt::standard64(pem.as_bytes())
    }

    #[test]
    fn subject_and_key_go_over() {
        let csr = value!({"metadata": {"uid": "u"}, "spec": {"request": (request()), "expirationSeconds": 3600}});
        let csr = Object::from_value(csr).unwrap();
        let controller = SigningController { key: Seed(1) };
        let text = controller.certificate(&csr, Time::from_secs(1_800_000_000)).unwrap();
        let pem = String::from_utf8(jwt::from_standard64(&text).unwrap()).unwrap();
        let body: String = pem.lines().filter(|l| !l.starts_with("-----")).collect();
        let der = jwt::from_standard64(&body).unwrap();
        let (certificate, rest) = split(&der).unwrap();
        assert!(rest.is_empty());
        let mut fields = Vec::new();
        let mut left = content(split(content(certificate).unwrap()).unwrap().0).unwrap();
        while let Some((field, rest)) = split(left).filter(|_| !left.is_empty()) {
            fields.push(field.to_vec());
            left = rest;
        }
        // Version, serial number, algorithm, issuer, validity, subject, key.
        assert_eq!(fields.len(), 7);
        assert!(fields[4].windows(13).any(|w| w == b"270115085500Z"), "{:?}", String::from_utf8_lossy(&fields[4]));
        assert!(fields[5].windows(4).any(|w| w == b"dana") && fields[5].windows(3).any(|w| w == b"dev"));
        assert_eq!(fields[6], element(SEQUENCE, b"key"));
    }
}
