//! `crdgen PAGE FOLDER…`: writes the API's reference page, and one YAML file a CustomResourceDefinition into each folder. Run by `make generate`; CI
//! fails when the committed files differ.

use std::{env, error::Error, fs, io, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(page), folders) = (arguments.next(), arguments.collect::<Vec<_>>()) else {
        return Err("name the page and at least one folder, for example: crdgen docs/api.md crds/generated".into());
    };
    let definitions = crosstie_crds::definitions()?;
    write(Path::new(&page), &crosstie_crds::reference::markdown(&definitions)?)?;
    for definition in definitions {
        let name = definition.spec.names.plural.clone();
        let yaml = serde_saphyr::to_string(&definition)?;
        for folder in &folders {
            fs::create_dir_all(folder)?;
            let header = "# Generated from the types in crds/ by `make generate`; do not edit.\n";
            write(&Path::new(folder).join(format!("crosstie.dev_{name}.yaml")), &format!("{header}{yaml}"))?;
        }
    }
    Ok(())
}

/// Writes a file unless it is so already: builds and installations that read it meanwhile do not find half of it.
fn write(path: &Path, content: &str) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    fs::write(path, content)
}
