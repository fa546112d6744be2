//! Just enough of X.509's DER to read who a client certificate is for. Rustls has verified it by then.

/// A tag with its content, and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = if first < 0x80 {
        (first as usize, rest)
    } else {
        let n = (first & 0x7f) as usize;
        if n > 4 || rest.len() < n {
            return None;
        }
        (rest[..n].iter().fold(0, |len, b| len << 8 | *b as usize), &rest[n..])
    };
    (rest.len() >= len).then(|| (tag, &rest[..len], &rest[len..]))
}

const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];

/// Who a client certificate is for.
#[derive(Clone)]
pub struct Holder {
    /// The subject's common name and organizations.
    pub name: String,
    pub groups: Vec<String>,
    /// `X509SHA256=` and the digest of the certificate: by it audit logs tell credentials of one user apart.
    pub credential_id: String,
}

/// Reads the holder of a certificate.
pub fn holder(certificate: &[u8]) -> Option<Holder> {
    let (name, groups) = subject(certificate)?;
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    let hex: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    Some(Holder { name, groups, credential_id: format!("X509SHA256={hex}") })
}

/// Common name and organizations of a certificate's subject: user and groups to kube-apiserver.
fn subject(certificate: &[u8]) -> Option<(String, Vec<String>)> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut tbs, _) = element(certificate)?;
    // [0] version, serial number, signature algorithm, issuer, validity.
    if tbs.first() == Some(&0xa0) {
        tbs = element(tbs)?.2;
    }
    for _ in 0..4 {
        tbs = element(tbs)?.2;
    }
    let (_, mut names, _) = element(tbs)?;
    let (mut common_name, mut organizations) = (String::new(), Vec::new());
    while let Some((_, mut set, rest)) = element(names) {
        while let Some((_, attribute, more)) = element(set) {
            let (_, oid, value) = element(attribute)?;
            let text = String::from_utf8_lossy(element(value)?.1).into_owned();
            match oid {
                COMMON_NAME => common_name = text,
                ORGANIZATION => organizations.push(text),
                _ => {}
            }
            set = more;
        }
        names = rest;
    }
    Some((common_name, organizations))
}
