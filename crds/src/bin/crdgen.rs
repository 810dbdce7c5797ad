//! `crdgen FOLDER…`: writes one YAML file a CustomResourceDefinition into each folder. Run by `make generate`; CI fails when the
//! committed files differ.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let folders: Vec<String> = env::args().skip(1).collect();
    if folders.is_empty() {
        return Err("name at least one folder to write into, for example: crdgen crds/generated".into());
    }
    for definition in crosstie_crds::definitions()? {
        let name = definition.spec.names.plural.clone();
        let yaml = serde_saphyr::to_string(&definition)?;
        for folder in &folders {
            fs::create_dir_all(folder)?;
            let header = "# Generated from the types in crds/ by `make generate`; do not edit.\n";
            fs::write(Path::new(folder).join(format!("crosstie.dev_{name}.yaml")), format!("{header}{yaml}"))?;
        }
    }
    Ok(())
}
