//! Releases copied from one stream of a product into another.

use crate::{
    api::{
        ask::{Asked, Read, Write},
        body::Json,
        model::{NewPromotion, PromotionModel},
        page::{Page, PageQuery},
        paths::{At, StreamPath, path_of},
        refuse::field,
        respond::{Answer, created},
        state::Api,
    },
    domain::{
        artifact::Promotion,
        document::{parts, shape::PayloadDocument, shape::PromotionDocument},
        payload::Payload,
        release::PayloadKey,
        stream::StreamName,
        version::Version,
    },
    http::problem::{FieldError, Problem, ProblemKind},
    manage::{Promoted, Report},
};
use axum::extract::State;
use std::collections::BTreeMap;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_promotions, create_promotion))
}

/// Lists the releases of a stream that were promoted into it, the oldest first
#[utoipa::path(get, path = "/promotions", tag = "promotions", params(StreamPath, PageQuery),
    responses((status = 200, description = "a page of them", body = Page<PromotionModel>)))]
async fn list_promotions(
    State(api): State<Api>,
    At(path): At<StreamPath>,
    read: Read,
    Asked(page): Asked<PageQuery>,
) -> Answer {
    let snapshot = api.stream(&read.who, &path.id()?).await?;
    let releases = snapshot.stream.releases.iter().enumerate();
    let promoted = releases.filter_map(|(place, release)| Some((place, release, release.promoted_from.as_ref()?)));
    let page = page.of(promoted, |(place, ..)| format!("{place:08}"))?;
    let model = |(_, release, from): (usize, &crate::domain::release::Release, &Promotion)| PromotionModel {
        version: release.version.to_string(),
        state: release.state.as_str(),
        from: PromotionDocument { stream: from.stream.to_string(), version: from.version.to_string() },
    };
    read.show(snapshot.revision, &Page { items: page.items.into_iter().map(model).collect(), next: page.next })
}

/// Copies a release of another stream of the product into this one, as a draft without rollouts: as it is, or under another
/// version and with other payloads
#[utoipa::path(post, path = "/promotions", tag = "promotions", params(StreamPath), request_body = NewPromotion,
    responses((status = 201, description = "the draft was made", body = Report)))]
async fn create_promotion(
    State(api): State<Api>,
    At(path): At<StreamPath>,
    write: Write<Json<NewPromotion>>,
) -> Answer {
    let (id, request) = (path.id()?, write.request()?);
    let promoted = promoted(&write.body.0)?;
    let report = api.manage()?.promote(&id, &promoted, &request).await.map_err(|error| write.refused(error))?;
    created(&report, &format!("{}/releases", path_of(&id)))
}

fn promoted(new: &NewPromotion) -> Result<Promoted, Problem> {
    let stream = StreamName::parse(&new.from.stream).map_err(|error| field("from.stream", error))?;
    let version = Version::parse(&new.from.version).map_err(|error| field("from.version", error))?;
    let own = new.version.as_ref().map(|version| Version::parse(version).map_err(|error| field("version", error)));
    let payloads = new.payloads.as_deref().map(payloads).transpose()?;
    Ok(Promoted { from: Promotion { stream, version }, version: own.transpose()?, payloads })
}

fn payloads(documents: &[PayloadDocument]) -> Result<BTreeMap<PayloadKey, Payload>, Problem> {
    let mut payloads = BTreeMap::new();
    for (index, document) in documents.iter().enumerate() {
        let (key, payload) = parts::payload(document).map_err(|problems| {
            let at = |problem: crate::domain::document::Problem| FieldError {
                path: format!("payloads[{index}].{}", problem.path),
                message: problem.message,
            };
            Problem::from(ProblemKind::Invalid).at(problems.into_iter().map(at))
        })?;
        if payloads.insert(key, payload).is_some() {
            return Err(field(&format!("payloads[{index}]"), "is the second for its arch and scheme"));
        }
    }
    Ok(payloads)
}
