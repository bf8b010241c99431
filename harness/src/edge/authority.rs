//! The site's own certificate authority.
//!
//! Invariants: one authority a folder, whoever opens it first; keys are readable by their owner only;
//! key, certificate and expiry are one file each, written beside and renamed, so that no reader sees
//! half of a pair.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

use crate::fault::Fault;
use crate::recipe::AppDomain;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AUTHORITY_LIFE: Duration = DAY.saturating_mul(3650);
/// Clients refuse server certificates that live much longer.
const LEAF_LIFE: Duration = DAY.saturating_mul(800);
/// What is left of its life when a certificate is made anew.
const RENEWAL: Duration = DAY.saturating_mul(30);
/// Clocks of clients may be behind.
const EARLIER: Duration = DAY;

#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("{}: the certificate authority's file can't be read or written", path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: this is no key with a certificate; remove it to have a new one made", .0.display())]
    Content(PathBuf),
    #[error("can't make a certificate")]
    Make(#[from] rcgen::Error),
}

impl From<AuthorityError> for Fault {
    fn from(error: AuthorityError) -> Self {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        Self::infra(cause.map_or(error.to_string(), |cause| format!("{error}: {cause}")))
    }
}

/// An authority that is kept in a folder.
pub struct Authority {
    folder: PathBuf,
    pair: Pair,
}

/// A server certificate with its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The certificate.
    pub certificate: String,
    pub key: String,
    /// Hexadecimal SHA-256 of the certificate's DER, for the comparison with what a server showed.
    pub fingerprint: String,
    pub expires: Timestamp,
    /// The authority's certificate.
    pub authority: String,
}

impl Authority {
    /// Opens the authority in `folder`; makes both where they are not there yet.
    pub fn open_or_create(folder: &Path) -> Result<Self, AuthorityError> {
        fs::create_dir_all(folder).map_err(at(folder))?;
        let path = folder.join("authority.pem");
        let pair = match Pair::read(&path)? {
            Some(pair) if pair.lives() => pair,
            // The first one stays, but for one that is as good as expired.
            old => {
                let made = authority(SystemTime::now())?;
                made.write(&path, old.is_some())?;
                Pair::read(&path)?.ok_or_else(|| AuthorityError::Content(path.clone()))?
            }
        };
        let public = folder.join("ca.pem");
        if fs::read_to_string(&public).ok().as_deref() != Some(&pair.certificate) {
            write(&public, &pair.certificate, 0o644, true)?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            pair,
        })
    }

    /// The certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.pair.certificate
    }

    /// Where the certificate lies, for those who take a file.
    pub fn certificate_path(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// The certificate for `zone` and `*.zone`; made anew in its last 30 days.
    pub fn leaf(&self, zone: &AppDomain) -> Result<Leaf, AuthorityError> {
        self.leaf_at(zone, SystemTime::now())
    }

    fn leaf_at(&self, zone: &AppDomain, now: SystemTime) -> Result<Leaf, AuthorityError> {
        let path = self.folder.join(format!("leaf.{zone}.pem"));
        let issuer = fingerprint(&self.pair.certificate, &path)?;
        let kept = Pair::read(&path)?.filter(|pair| pair.lives_at(now) && pair.issuer == issuer);
        let pair = if let Some(pair) = kept {
            pair
        } else {
            let made = self.issue(zone, now, issuer)?;
            made.write(&path, true)?;
            made
        };
        Ok(Leaf {
            fingerprint: fingerprint(&pair.certificate, &path)?,
            certificate: pair.certificate,
            key: pair.key,
            expires: pair.expires,
            authority: self.pair.certificate.clone(),
        })
    }

    fn issue(
        &self,
        zone: &AppDomain,
        now: SystemTime,
        issuer: String,
    ) -> Result<Pair, AuthorityError> {
        let mut params = CertificateParams::new(vec![format!("*.{zone}"), zone.to_string()])?;
        params.distinguished_name = name(&format!("*.{zone}"));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let expires = (now + LEAF_LIFE).min(time(self.pair.expires));
        params.not_before = (now - EARLIER).into();
        params.not_after = expires.into();
        let key = KeyPair::generate()?;
        let signer =
            Issuer::from_ca_cert_pem(&self.pair.certificate, KeyPair::from_pem(&self.pair.key)?)?;
        Ok(Pair {
            certificate: params.signed_by(&key, &signer)?.pem(),
            key: key.serialize_pem(),
            expires: timestamp(expires),
            issuer,
        })
    }
}

fn authority(now: SystemTime) -> Result<Pair, AuthorityError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = name("cc-ci local authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let expires = now + AUTHORITY_LIFE;
    params.not_before = (now - EARLIER).into();
    params.not_after = expires.into();
    let key = KeyPair::generate()?;
    Ok(Pair {
        certificate: params.self_signed(&key)?.pem(),
        key: key.serialize_pem(),
        expires: timestamp(expires),
        issuer: "itself".to_owned(),
    })
}

/// A key with its certificate, as kept: a file of both with the expiry and the issuer before them.
struct Pair {
    certificate: String,
    key: String,
    expires: Timestamp,
    issuer: String,
}

impl Pair {
    fn read(path: &Path) -> Result<Option<Self>, AuthorityError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(path)(error)),
        };
        let parse = || {
            let (head, rest) = text.split_once("\n-----BEGIN ")?;
            let rest = format!("-----BEGIN {rest}");
            let (key, certificate) = rest.split_at(rest.find("-----BEGIN CERTIFICATE")?);
            let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
            Some(Self {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
                expires: field("Expires: ")?.parse().ok()?,
                issuer: field("Issuer: ")?.to_owned(),
            })
        };
        let pair = parse().ok_or_else(|| AuthorityError::Content(path.to_owned()))?;
        KeyPair::from_pem(&pair.key).map_err(|_| AuthorityError::Content(path.to_owned()))?;
        fingerprint(&pair.certificate, path)?;
        Ok(Some(pair))
    }

    fn write(&self, path: &Path, replace: bool) -> Result<(), AuthorityError> {
        let text = format!(
            "Expires: {}\nIssuer: {}\n{}{}",
            self.expires, self.issuer, self.key, self.certificate
        );
        write(path, &text, 0o600, replace)
    }

    fn lives(&self) -> bool {
        self.lives_at(SystemTime::now())
    }

    fn lives_at(&self, now: SystemTime) -> bool {
        time(self.expires) > now + RENEWAL
    }
}

/// Writes beside and renames. Without `replace` a file that came in between is left as it is.
fn write(path: &Path, text: &str, mode: u32, replace: bool) -> Result<(), AuthorityError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(folder)
        .map_err(at(folder))?;
    file.write_all(text.as_bytes()).map_err(at(path))?;
    file.as_file().sync_all().map_err(at(path))?;
    let kept = if replace {
        file.persist(path)
    } else {
        file.persist_noclobber(path)
    };
    match kept {
        Ok(_) => Ok(()),
        Err(lost) if !replace && lost.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(lost) => Err(at(path)(lost.error)),
    }
}

fn fingerprint(pem: &str, path: &Path) -> Result<String, AuthorityError> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| AuthorityError::Content(path.to_owned()))?;
    Ok(fingerprint_of(&der))
}

/// The fingerprint of a certificate as a server showed it.
pub fn fingerprint_of(der: &[u8]) -> String {
    let digest = Sha256::digest(der);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).expect("a time of this century fits")
}

fn time(stamp: Timestamp) -> SystemTime {
    let seconds = u64::try_from(stamp.as_second()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> AuthorityError + use<> {
    let path = path.to_owned();
    move |source| AuthorityError::File {
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> AppDomain {
        "ci.test".parse().unwrap()
    }

    #[test]
    fn opened_again_it_is_the_same_authority_with_the_same_leaf() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::open_or_create(folder.path()).unwrap();
        let leaf = first.leaf(&zone()).unwrap();
        let again = Authority::open_or_create(folder.path()).unwrap();
        assert_eq!(first.certificate(), again.certificate());
        assert!(leaf == again.leaf(&zone()).unwrap());
        assert_eq!(
            fs::read_to_string(again.certificate_path()).unwrap(),
            again.certificate()
        );
    }

    #[test]
    fn those_who_open_it_at_once_get_one_authority() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let start = std::sync::Barrier::new(8);
        let open = || {
            start.wait();
            let authority = Authority::open_or_create(path).unwrap();
            authority.certificate().to_owned()
        };
        let seen: std::collections::BTreeSet<String> = std::thread::scope(|scope| {
            let openers: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            openers.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(seen.len(), 1);
    }

    #[test]
    fn keys_are_for_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(folder.path()).unwrap();
        authority.leaf(&zone()).unwrap();
        for name in ["authority.pem", "leaf.ci.test.pem"] {
            let mode = fs::metadata(folder.path().join(name))
                .unwrap()
                .permissions();
            assert_eq!(mode.mode() & 0o777, 0o600, "{name}");
        }
        let public = fs::metadata(authority.certificate_path()).unwrap();
        assert_eq!(public.permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn a_leaf_is_made_anew_in_its_last_thirty_days_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(folder.path()).unwrap();
        let now = SystemTime::now();
        let leaf = authority.leaf_at(&zone(), now).unwrap();
        let before = authority.leaf_at(&zone(), now + DAY * 769).unwrap();
        assert_eq!(leaf.fingerprint, before.fingerprint);
        let after = authority.leaf_at(&zone(), now + DAY * 771).unwrap();
        assert_ne!(leaf.fingerprint, after.fingerprint);
    }

    #[test]
    fn a_leaf_of_an_earlier_authority_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::open_or_create(folder.path()).unwrap();
        let old = first.leaf(&zone()).unwrap();
        fs::remove_file(folder.path().join("authority.pem")).unwrap();
        let second = Authority::open_or_create(folder.path()).unwrap();
        let new = second.leaf(&zone()).unwrap();
        assert_ne!(old.fingerprint, new.fingerprint);
        assert_eq!(new.authority, second.certificate());
    }

    #[test]
    fn a_file_that_is_no_pair_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("authority.pem"), "nothing").unwrap();
        let error = Authority::open_or_create(folder.path()).err().unwrap();
        assert!(error.to_string().ends_with(
            "authority.pem: this is no key with a certificate; remove it to have a new one made"
        ));
    }
}
