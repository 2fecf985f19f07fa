//! Creates and deletes products, and changes their protocols and descriptions.

use super::descriptions::NewDescription;
use crate::{
    domain::{
        epoch::Epoch,
        ids::{ProductName, ProtocolName},
    },
    manage::{
        command::{ProductCommand, ProductState},
        refusal::Refusal,
        request::Action,
    },
};

/// Creates a product, or changes its description, and its protocol if it has no streams yet.
#[derive(Debug, Clone)]
pub struct SetProduct {
    /// The product.
    pub product: ProductName,
    /// The protocol that its nodes speak.
    pub protocol: ProtocolName,
    /// What it is for.
    pub description: NewDescription,
}

impl ProductCommand for SetProduct {
    fn action(&self) -> Action {
        Action::SET_PRODUCT
    }

    fn product(&self) -> &ProductName {
        &self.product
    }

    fn subject(&self) -> Option<String> {
        Some(match self.description {
            NewDescription::Unchanged => format!("protocol/{}", self.protocol),
            _ => "description".into(),
        })
    }

    fn uses_settings(&self) -> bool {
        true
    }

    fn can_create(&self) -> bool {
        true
    }

    fn apply(&self, present: &ProductState, _: Epoch) -> Result<ProductState, Refusal> {
        match &present.protocol {
            Some(protocol) if *protocol != self.protocol && present.has_streams => Err(Refusal::State(format!(
                "{} has streams, and its nodes speak `{protocol}`: the protocol of a product with streams cannot be changed",
                self.product
            ))),
            _ => {
                let description = self.description.after(present.description.as_ref());
                Ok(ProductState { protocol: Some(self.protocol.clone()), description, ..present.clone() })
            }
        }
    }
}

/// Deletes a product that has no streams.
#[derive(Debug, Clone)]
pub struct DeleteProduct {
    /// The product.
    pub product: ProductName,
}

impl ProductCommand for DeleteProduct {
    fn action(&self) -> Action {
        Action::DELETE_PRODUCT
    }

    fn product(&self) -> &ProductName {
        &self.product
    }

    /// They are deleted with it.
    fn uses_settings(&self) -> bool {
        true
    }

    fn changes_existence(&self) -> bool {
        true
    }

    fn apply(&self, present: &ProductState, _: Epoch) -> Result<ProductState, Refusal> {
        let product = &self.product;
        let refused = |why: &str| Err(Refusal::State(format!("{product} {why}")));
        match (present.has_streams, &present.stop) {
            (true, _) => refused("has streams: delete them first"),
            (_, Some(_)) => refused("is stopped: lift its emergency stop first"),
            (false, None) => Ok(ProductState::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{admission::emergency_stop::EmergencyStop, description::Description, reason::Reason},
        manage::testing::{NOW, id},
    };

    fn protocol(name: &str) -> ProtocolName {
        ProtocolName::parse(name).unwrap()
    }

    fn speaking(name: &str, has_streams: bool) -> ProductState {
        ProductState { protocol: Some(protocol(name)), has_streams, ..ProductState::default() }
    }

    #[test]
    fn a_product_gets_its_protocol_until_it_has_streams() {
        let command =
            SetProduct { product: id().product, protocol: protocol("b"), description: NewDescription::Unchanged };
        assert_eq!(command.apply(&ProductState::default(), NOW), Ok(speaking("b", false)));
        assert_eq!(command.apply(&speaking("a", false), NOW), Ok(speaking("b", false)));
        assert_eq!(command.apply(&speaking("b", true), NOW), Ok(speaking("b", true)));
        let refused = command.apply(&speaking("a", true), NOW).unwrap_err().to_string();
        assert!(refused.contains("os has streams, and its nodes speak `a`"), "{refused}");
        assert!(command.can_create() && command.uses_settings() && command.in_stream(&id()).is_none());
        assert_eq!((command.action(), command.product()), (Action::SET_PRODUCT, &id().product));
    }

    #[test]
    fn a_product_is_deleted_without_streams_and_stops() {
        let command = DeleteProduct { product: id().product };
        assert_eq!(command.apply(&speaking("a", false), NOW), Ok(ProductState::default()));
        assert!(!command.can_create() && command.changes_existence());
        let stop = Some(EmergencyStop { since: NOW, reason: Reason::new("broken").unwrap() });
        for (state, expected) in [
            (speaking("a", true), "os has streams: delete them first"),
            (ProductState { stop, ..speaking("a", false) }, "os is stopped: lift its emergency stop first"),
        ] {
            assert_eq!(command.apply(&state, NOW).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_description_changes_whether_the_product_has_streams_or_not() {
        let text = Description::parse("for shops").unwrap();
        let with = |description| SetProduct { product: id().product, protocol: protocol("a"), description };
        for has_streams in [false, true] {
            let plain = speaking("a", has_streams);
            let described = ProductState { description: Some(text.clone()), ..plain.clone() };
            assert_eq!(with(NewDescription::Text(text.clone())).apply(&plain, NOW), Ok(described.clone()));
            assert_eq!(with(NewDescription::Unchanged).apply(&described, NOW), Ok(described.clone()));
            assert_eq!(with(NewDescription::None).apply(&described, NOW), Ok(plain));
        }
        assert_eq!(with(NewDescription::Unchanged).subject().as_deref(), Some("protocol/a"));
        assert_eq!(with(NewDescription::None).subject().as_deref(), Some("description"));
    }
}
