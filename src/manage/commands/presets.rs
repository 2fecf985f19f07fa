//! Sets and deletes presets of products. Rollouts that were created from a preset do not change with it.

use crate::{
    domain::{
        admission::bounds::preset_problems,
        epoch::Epoch,
        ids::ProductName,
        product_preset::{MAX_PRESETS, PresetName, ProductPreset},
    },
    manage::{
        command::{ProductCommand, ProductState},
        refusal::Refusal,
        request::Action,
    },
};

/// Adds a preset to a product, or replaces the one of this name.
#[derive(Debug, Clone)]
pub struct SetPreset {
    /// The product.
    pub product: ProductName,
    /// The name of the preset.
    pub name: PresetName,
    /// The preset.
    pub preset: ProductPreset,
}

impl ProductCommand for SetPreset {
    fn action(&self) -> Action {
        Action::SET_PRESET
    }

    fn product(&self) -> &ProductName {
        &self.product
    }

    fn subject(&self) -> Option<String> {
        Some(subject(&self.name))
    }

    fn uses_settings(&self) -> bool {
        true
    }

    fn apply(&self, present: &ProductState, _: Epoch) -> Result<ProductState, Refusal> {
        refuse_reserved(&self.name)?;
        let problems = preset_problems(&self.preset);
        if !problems.is_empty() {
            return Err(problems.into());
        }
        let mut next = present.clone();
        next.presets.insert(self.name.clone(), self.preset.clone());
        if next.presets.len() > MAX_PRESETS.max(present.presets.len()) {
            let message = format!("the product has {MAX_PRESETS} presets, and cannot have more");
            return Err(Refusal::field("name", message));
        }
        Ok(next)
    }
}

/// Deletes a preset of a product.
#[derive(Debug, Clone)]
pub struct RemovePreset {
    /// The product.
    pub product: ProductName,
    /// The name of the preset.
    pub name: PresetName,
}

impl ProductCommand for RemovePreset {
    fn action(&self) -> Action {
        Action::REMOVE_PRESET
    }

    fn product(&self) -> &ProductName {
        &self.product
    }

    fn subject(&self) -> Option<String> {
        Some(subject(&self.name))
    }

    fn uses_settings(&self) -> bool {
        true
    }

    fn apply(&self, present: &ProductState, _: Epoch) -> Result<ProductState, Refusal> {
        refuse_reserved(&self.name)?;
        let mut next = present.clone();
        let removed = next.presets.remove(&self.name);
        removed.map(|_| next).ok_or_else(|| Refusal::no_such("preset", format!("{} of {}", self.name, self.product)))
    }
}

fn subject(name: &PresetName) -> String {
    format!("presets/{name}")
}

/// Refuses the names that requests give to something else.
fn refuse_reserved(name: &PresetName) -> Result<(), Refusal> {
    if name.is_reserved() {
        return Err(Refusal::field("name", format!("is {:?}, which the service uses itself", name.as_str())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::document::parts,
        manage::testing::{NOW, id},
    };

    fn name(text: &str) -> PresetName {
        PresetName::parse(text).unwrap()
    }

    fn preset(rollouts: usize) -> ProductPreset {
        let rollout = r#"{"start_share": 0.5}"#;
        let text = format!(r#"{{"rollouts": [{}]}}"#, vec![rollout; rollouts].join(","));
        parts::product_preset(&serde_json::from_str(&text).unwrap()).unwrap()
    }

    fn set(text: &str, rollouts: usize) -> SetPreset {
        SetPreset { product: id().product, name: name(text), preset: preset(rollouts) }
    }

    fn remove(text: &str) -> RemovePreset {
        RemovePreset { product: id().product, name: name(text) }
    }

    fn with(presets: &[(&str, usize)]) -> ProductState {
        let presets = presets.iter().map(|(text, rollouts)| (name(text), preset(*rollouts))).collect();
        ProductState { presets, ..ProductState::default() }
    }

    fn refusal(command: &dyn ProductCommand, present: &ProductState) -> String {
        command.apply(present, NOW).unwrap_err().to_string()
    }

    #[test]
    fn a_preset_is_added_replaced_and_deleted() {
        assert_eq!(set("a", 1).apply(&with(&[]), NOW), Ok(with(&[("a", 1)])));
        assert_eq!(set("a", 2).apply(&with(&[("a", 1), ("b", 1)]), NOW), Ok(with(&[("a", 2), ("b", 1)])));
        assert_eq!(remove("a").apply(&with(&[("a", 2), ("b", 1)]), NOW), Ok(with(&[("b", 1)])));
        assert_eq!(refusal(&remove("a"), &with(&[("b", 1)])), "there is no preset a of os");
        let commands: [&dyn ProductCommand; 2] = [&set("a", 1), &remove("a")];
        assert_eq!(commands.map(ProductCommand::action), [Action::SET_PRESET, Action::REMOVE_PRESET]);
        for command in commands {
            assert_eq!((command.product(), command.subject().as_deref()), (&id().product, Some("presets/a")));
            assert!(command.uses_settings() && !command.can_create() && command.in_stream(&id()).is_none());
        }
    }

    #[test]
    fn names_of_the_service_and_presets_over_a_limit_are_refused() {
        for reserved in ["linear-48h", "none"] {
            let expected = format!("name: is {reserved:?}, which the service uses itself");
            assert_eq!(refusal(&set(reserved, 1), &with(&[])), expected);
            assert_eq!(refusal(&remove(reserved), &with(&[])), expected);
        }
        assert_eq!(refusal(&set("a", 0), &with(&[])), "rollouts: must be 1 to 32 rollouts, are 0");
        assert_eq!(refusal(&set("a", 33), &with(&[])), "rollouts: must be 1 to 32 rollouts, are 33");
        assert!(set("a", 32).apply(&with(&[]), NOW).is_ok());
        let names: Vec<String> = (0..MAX_PRESETS).map(|number| format!("p{number}")).collect();
        let full: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        assert_eq!(refusal(&set("a", 1), &with(&full)), "name: the product has 100 presets, and cannot have more");
        assert!(set("p7", 2).apply(&with(&full), NOW).is_ok());
    }

    #[test]
    fn long_selectors_are_refused() {
        let groups: Vec<String> = (0..65).map(|number| format!("\"g{number}\"")).collect();
        let text = format!(r#"{{"rollouts": [{{}}, {{"selector": {{"groups": [{}]}}}}]}}"#, groups.join(","));
        let preset = parts::product_preset(&serde_json::from_str(&text).unwrap()).unwrap();
        let command = SetPreset { preset, ..set("a", 1) };
        let expected = "rollouts[1].selector.groups: has 65 names, at most 64 are allowed";
        assert_eq!(refusal(&command, &with(&[])), expected);
    }
}
