//! Parsing of followed repositories.

use super::{follow_shape::FollowDocument, read::Reader};
use crate::domain::{
    follow::{Follow, FollowMode, TagPattern},
    payload::Repository,
};

impl Reader {
    pub(super) fn follow(&mut self, path: &str, document: &FollowDocument) -> Option<Follow> {
        let image = self.followed_image(&format!("{path}.image"), &document.image);
        let tags = self.check(&format!("{path}.tags"), TagPattern::parse(&document.tags));
        let mode = FollowMode::from_name(&document.mode)
            .ok_or_else(|| format!("is {:?}, expected draft or publish", document.mode));
        let mode = self.check(&format!("{path}.as"), mode);
        let rollout = match &document.rollout {
            Some(name) => Some(self.preset(&format!("{path}.rollout"), name)?),
            None => None,
        };
        Some(Follow { image: image?, tags: tags?, mode: mode?, rollout })
    }

    fn followed_image(&mut self, path: &str, text: &str) -> Option<Repository> {
        let image = self.check(path, Repository::parse(text))?;
        let (_, name) = text.split_once('/').unwrap_or_default();
        if name.is_empty() || name.contains(':') {
            self.problem(path, format!("is {text:?}, expected a repository without a tag, such as ghcr.io/acme/os"));
            return None;
        }
        Some(image)
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        document::{StreamDocument, follow_shape::FollowSetting, parts},
        document::{Strictness, follow_shape::FollowDocument},
        rollout::preset::Preset,
        stream::Stream,
    };
    use serde_json::json;

    fn document() -> FollowDocument {
        serde_json::from_value(json!({"image": "ghcr.io/acme/os", "tags": "^v1$", "as": "draft"})).unwrap()
    }

    #[test]
    fn a_followed_repository_is_read_as_it_is_written() {
        let text = "format = 1\nproduct = \"os\"\nstream = \"stable\"\n\
            follow = { image = \"ghcr.io/acme/os\", tags = '^stable-\\d+$', as = \"publish\", rollout = \"week\" }\n";
        let read: StreamDocument = toml::from_str(text).unwrap();
        let stream = Stream::from_document(&read, Strictness::Strict).unwrap();
        let follow = stream.follow.as_deref().unwrap();
        assert_eq!(follow.to_string(), r"tags ^stable-\d+$ of ghcr.io/acme/os as publish, rollout week");
        assert_eq!(follow.rollout, Some(Preset::Week));
        assert_eq!(stream.to_document().follow, read.follow);
    }

    #[test]
    fn each_invalid_field_is_reported() {
        let problems = |change: fn(&mut FollowDocument)| {
            let mut document = document();
            change(&mut document);
            let problems = parts::follow(&document).unwrap_err();
            problems.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let image = |text: &str| {
            format!("follow.image: is {text:?}, expected a repository without a tag, such as ghcr.io/acme/os")
        };
        assert_eq!(problems(|follow| follow.image = "os".into()), [image("os")]);
        assert_eq!(problems(|follow| follow.image = "ghcr.io/os:1".into()), [image("ghcr.io/os:1")]);
        assert!(
            problems(|follow| follow.image = "ghcr.io/os@sha256:1".into())[0].starts_with("follow.image: contains '@'")
        );
        let expected = "follow.as: is \"promote\", expected draft or publish";
        assert_eq!(problems(|follow| follow.mode = "promote".into()), [expected]);
        let expected = "follow.rollout: is \"slow\", expected one of linear-48h, week, emergency-3h";
        assert_eq!(problems(|follow| follow.rollout = Some("slow".into())), [expected]);
        let all = problems(|follow| (follow.tags, follow.mode) = ("(".into(), String::new()));
        assert_eq!(all[0], "follow.tags: is not a regular expression: unclosed group");
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn a_setting_is_none_or_a_repository() {
        let read = |text: &str| serde_json::from_str::<FollowSetting>(text).map_err(|error| error.to_string());
        assert_eq!(read("\"none\""), Ok(FollowSetting::Named("none".into())));
        let written = serde_json::to_string(&FollowSetting::Repository(document())).unwrap();
        assert_eq!(read(&written), Ok(FollowSetting::Repository(document())));
        assert!(read("7").unwrap_err().contains("expected the text \"none\", or an object"));
        assert!(read("{\"image\": \"x\", \"tag\": \"1\"}").unwrap_err().contains("unknown field `tag`"));
    }
}
