//! The mounted files: plan, shares, credentials, and which store is expected. Reads them anew when they change; what they mean is decided by
//! whoever asks. Nothing of a credential is ever logged, also not in an error.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use crosstie_crds::names;
use crosstie_engine::{credentials::CredentialsDocument, plan::Plan, rate::Shares};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// File, beside the shares, that names the store which the worker has to find.
const STORE_ID_FILE: &str = "store-id";

/// One file as it was found.
#[derive(Clone, Debug)]
pub enum Found<T> {
    /// There is none yet.
    Missing,
    /// It cannot be used: why.
    Unusable(String),
    /// Its content.
    Read(Arc<T>),
}

impl<T> Found<T> {
    /// The content, if there is one.
    pub fn content(&self) -> Option<&Arc<T>> {
        match self {
            Self::Read(content) => Some(content),
            Self::Missing | Self::Unusable(_) => None,
        }
    }

    /// Why it cannot be used.
    pub fn problem(&self) -> Option<&str> {
        match self {
            Self::Unusable(problem) => Some(problem),
            Self::Missing | Self::Read(_) => None,
        }
    }
}

/// All files as they were found.
#[derive(Clone, Debug)]
pub struct Mounted {
    /// The plan.
    pub plan: Found<Plan>,
    /// The shares.
    pub shares: Found<Shares>,
    /// The source's credentials.
    pub source: Found<CredentialsDocument>,
    /// The destination's credentials.
    pub destination: Found<CredentialsDocument>,
    /// Credentials of the Connectors that alerts go through, by their names.
    pub alerts: BTreeMap<String, Found<CredentialsDocument>>,
    /// Id of the store that has to be found; none when any will do.
    pub expected_store: Option<String>,
}

/// Watches the files.
#[derive(Debug)]
pub struct Files {
    paths: Paths,
    seen: Option<Vec<Mark>>,
}

#[derive(Debug)]
struct Paths {
    plan: PathBuf,
    shares: PathBuf,
    store_id: PathBuf,
    source: PathBuf,
    destination: PathBuf,
    /// Folder with a folder for each Connector that alerts go through.
    alerts: PathBuf,
}

/// What tells a file from itself after a change. Kubernetes swaps a link, which changes the inode; an editor may only change time or length.
type Mark = Option<(u64, u64, u64, Option<SystemTime>)>;

impl Files {
    /// Watches the files below a folder.
    pub fn new(folder: &Path) -> Self {
        let credentials = |end: &str| folder.join("credentials").join(end).join(names::CREDENTIALS_FILE);
        let paths = Paths {
            plan: folder.join("plan").join(names::PLAN_FILE),
            shares: folder.join("shares").join(names::SHARES_FILE),
            store_id: folder.join("shares").join(STORE_ID_FILE),
            source: credentials("source"),
            destination: credentials("destination"),
            alerts: folder.join("credentials").join("alerts"),
        };
        Self { paths, seen: None }
    }

    /// The files, if any of them changed since the last call that gave them.
    pub fn changed(&mut self) -> Option<Mounted> {
        let alerts = self.paths.alerts();
        let marks: Vec<Mark> = self.paths.all().chain(alerts.values()).map(|path| mark(path)).collect();
        if self.seen.as_ref() == Some(&marks) {
            return None;
        }
        // The marks are taken before reading: a change in between is seen as one next time.
        self.seen = Some(marks);
        Some(self.paths.read(&alerts))
    }
}

impl Paths {
    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.plan, &self.shares, &self.store_id, &self.source, &self.destination].into_iter()
    }

    /// Files with credentials of alerts, by their Connectors. They are there or not as the pod was made.
    fn alerts(&self) -> BTreeMap<String, PathBuf> {
        let folders = fs::read_dir(&self.alerts).into_iter().flatten().flatten();
        let named = folders.filter_map(|folder| {
            let path = folder.path().join(names::CREDENTIALS_FILE);
            folder.file_name().into_string().ok().map(|name| (name, path))
        });
        named.collect()
    }

    fn read(&self, alerts: &BTreeMap<String, PathBuf>) -> Mounted {
        let plan = read(&self.plan, |bytes| Plan::parse(bytes).map_err(|error| error.to_string()));
        let shares = read(&self.shares, |bytes| {
            json(bytes).ok_or_else(|| {
                "the shares are not readable: they are written by the operator; leave them to it".to_owned()
            })
        });
        let expected_store = fs::read_to_string(&self.store_id).ok().map(|text| text.trim().to_owned());
        Mounted {
            plan,
            shares,
            source: credentials(&self.source),
            destination: credentials(&self.destination),
            alerts: alerts.iter().map(|(name, path)| (name.clone(), credentials(path))).collect(),
            expected_store: expected_store.filter(|id| !id.is_empty()),
        }
    }
}

fn mark(path: &Path) -> Mark {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.len(), metadata.modified().ok()))
}

fn read<T>(path: &Path, parse: impl FnOnce(&[u8]) -> Result<T, String>) -> Found<T> {
    match fs::read(path).map(Zeroizing::new) {
        Ok(bytes) => parse(&bytes).map_or_else(Found::Unusable, |content| Found::Read(Arc::new(content))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Missing,
        Err(error) => Found::Unusable(format!("{} cannot be read: {}", path.display(), error.kind())),
    }
}

/// Reads credentials. What is wrong with them is not said in detail: JSON errors quote what they stumble over.
fn credentials(path: &Path) -> Found<CredentialsDocument> {
    read(path, |bytes| {
        json(bytes).ok_or_else(|| {
            format!("{} is no credentials document: it is written by the operator; leave it to it", path.display())
        })
    })
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path, content: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    #[test]
    fn files_that_are_not_there_yet_are_missing_and_no_problem() {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Files::new(folder.path()).changed().unwrap();
        assert!(matches!(mounted.plan, Found::Missing) && matches!(mounted.source, Found::Missing));
        assert_eq!(mounted.plan.problem(), None);
    }

    #[test]
    fn a_swapped_link_is_seen_once_and_what_does_not_change_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let shares = folder.path().join("shares");
        let share = |requests: u32| {
            let one = format!(r#"{{"requests":{requests},"perSeconds":1,"concurrency":1}}"#);
            format!(r#"{{"source":{one},"destination":{one}}}"#)
        };
        write(&shares.join("..1/shares.json"), &share(1));
        write(&shares.join("..2/shares.json"), &share(2));
        symlink("..1", shares.join("..data")).unwrap();
        symlink("..data/shares.json", shares.join("shares.json")).unwrap();
        let mut files = Files::new(folder.path());
        let requests = |mounted: &Mounted| mounted.shares.content().unwrap().source.requests;
        assert_eq!(requests(&files.changed().unwrap()), 1);
        assert!(files.changed().is_none());
        symlink("..2", shares.join("..data_tmp")).unwrap();
        fs::rename(shares.join("..data_tmp"), shares.join("..data")).unwrap();
        assert_eq!(requests(&files.changed().unwrap()), 2);
        assert!(files.changed().is_none());
    }

    #[test]
    fn what_is_wrong_with_credentials_is_said_without_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials/source/credentials.json");
        write(
            &path,
            r#"{"connector": "shop", "current": {"versionId": "v1", "values": {"token": 17, "other": "hush"}}}"#,
        );
        let mounted = Files::new(folder.path()).changed().unwrap();
        let problem = mounted.source.problem().unwrap();
        assert!(
            problem.contains("credentials.json") && !problem.contains("17") && !problem.contains("hush"),
            "{problem}"
        );
    }

    #[test]
    fn a_plan_that_is_none_is_unusable() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("plan/plan.json"), "{}");
        let mounted = Files::new(folder.path()).changed().unwrap();
        assert!(mounted.plan.problem().is_some());
    }

    #[test]
    fn the_expected_store_is_read_without_the_line_end() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("shares/store-id"), "abc\n");
        assert_eq!(Files::new(folder.path()).changed().unwrap().expected_store.as_deref(), Some("abc"));
    }
}
