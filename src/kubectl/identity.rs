//! Who a client certificate says that its holder is: the subject's common name and organizations.
//!
//! A real kubectl presents the certificate in the TLS handshake and kube-apiserver reads the subject. Inside the bottle there is no
//! handshake, so the subject is read here, from DER, and goes with the request. Signatures are not checked.

use apimachinery::UserInfo;

use crate::base64;

const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];

/// The subject of a PEM certificate. `None` if it cannot be read.
pub fn user_of_certificate(pem: &str) -> Option<UserInfo> {
    let body: String = pem
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN CERTIFICATE-----"))
        .skip(1)
        .take_while(|line| !line.starts_with("-----END"))
        .collect();
    let der = base64::decode(&body).filter(|der| !der.is_empty())?;
    let (_, certificate, _) = element(&der)?;
    let (_, mut rest, _) = element(certificate)?;
    // Version (optional), serial number, algorithm, issuer, validity, subject.
    if rest.first() == Some(&0xa0) {
        rest = element(rest)?.2;
    }
    for _ in 0..4 {
        rest = element(rest)?.2;
    }
    let (_, mut subject, _) = element(rest)?;
    let mut user = UserInfo::default();
    while !subject.is_empty() {
        let (_, mut set, next) = element(subject)?;
        while !set.is_empty() {
            let (_, pair, more) = element(set)?;
            let (_, oid, value) = element(pair)?;
            let (_, text, _) = element(value)?;
            let text = String::from_utf8_lossy(text);
            match oid {
                COMMON_NAME => user.name = text.as_ref().into(),
                ORGANIZATION => user.groups.push(text.as_ref().into()),
                _ => {}
            }
            set = more;
        }
        subject = next;
    }
    Some(user)
}

/// Tag, content and what follows of a DER element.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, first) = (*der.first()?, *der.get(1)?);
    let (len, header) = if first < 0x80 {
        (first as usize, 2)
    } else {
        let n = (first & 0x7f) as usize;
        let bytes = der.get(2..2 + n).filter(|_| n <= 4)?;
        (bytes.iter().fold(0, |len, b| len << 8 | *b as usize), 2 + n)
    };
    let end = header.checked_add(len)?;
    Some((tag, der.get(header..end)?, &der[end..]))
}
