//! Promotions: releases copied from one stream of a product into another.

use crate::{
    api::{
        model::{NewPromotion, PromotionDriftModel, PromotionModel},
        page::{Page, PageQuery},
        paths::{PathParams, StreamPath, path_of},
        refuse::field,
        request::{LazyQuery, ReadRequest, UncheckedWrite},
        respond::{Answer, created},
        state::Api,
    },
    domain::{
        artifact::Promotion,
        document::{
            parts,
            shape::{PayloadDocument, PromotionDocument},
        },
        ids::{StreamId, StreamName, Version},
        payload::Payload,
        release::{PayloadKey, Release},
    },
    http::problem::{FieldError, Problem, ProblemKind},
    manage::{Action, Report, commands::releases::PromoteRelease},
};
use axum::extract::State;
use litemap::LiteMap;
use serde::Deserialize;
use std::collections::BTreeMap;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_promotions, create_promotion)).routes(routes!(get_promotion_drift))
}

/// List the releases that were promoted into a stream, oldest first
#[utoipa::path(get, path = "/promotions", tag = "promotions", params(StreamPath, PageQuery),
    responses((status = 200, description = "A page of promotions", body = Page<PromotionModel>)))]
async fn list_promotions(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    read: ReadRequest,
    page: LazyQuery<PageQuery>,
) -> Answer {
    let snapshot = api.manage()?.stream_reader(&read.caller, path.id()?)?.present().await?;
    let releases = snapshot.stream.releases.iter().enumerate();
    let promoted =
        releases.filter_map(|(position, release)| Some((position, &**release, release.promoted_from.as_deref()?)));
    let page = page.parse()?.by_position(promoted, |(position, ..)| *position)?;
    let model = |(_, release, from): (usize, &Release, &Promotion)| PromotionModel {
        version: release.version.to_string(),
        state: release.state.as_str(),
        from: PromotionDocument { stream: from.stream.to_string(), version: from.version.to_string() },
    };
    let page = Page { items: page.items.into_iter().map(model).collect(), next: page.next };
    read.link_next(read.show(snapshot.revision, &page), page.next.as_deref())
}

/// Copy a release of another stream of the product into this one
///
/// The copy is a draft without rollouts. Its version and payloads may differ from the source; with other payloads, it has neither the aliases and
/// artifacts of the source nor its `built_on`. Requires the role `viewer` on the source stream, too.
#[utoipa::path(post, path = "/promotions", tag = "promotions", params(StreamPath), request_body = NewPromotion,
    responses((status = 201, description = "The draft is created", body = Report)))]
async fn create_promotion(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::PROMOTE, &id)?.json::<NewPromotion>().await?;
    let request = write.request()?;
    let within = format!("{}/releases", path_of(&id));
    let promotion = promotion(id, &write.body)?;
    created(&write.run(&api, &promotion, &request).await?, &within)
}

/// The stream to compare with.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DriftQuery {
    /// The name of the source stream, of the same product.
    #[param(example = "testing")]
    from: String,
}

/// List what another stream of the product has and this one has not, newest first
///
/// A release counts as promoted if a release of this stream, a draft included, was promoted from it, or has its version or one of its
/// payloads. The list ends at the newest promoted release: older ones were passed over. Requires the role `viewer` on the source stream, too.
#[utoipa::path(get, path = "/promotions/drift", tag = "promotions", params(StreamPath, DriftQuery),
    responses((status = 200, description = "The releases that were not promoted", body = PromotionDriftModel)))]
async fn get_promotion_drift(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    read: ReadRequest,
    query: LazyQuery<DriftQuery>,
) -> Answer {
    let reader = api.manage()?.stream_reader(&read.caller, path.id()?)?;
    let from = query.parse()?.from;
    let from = StreamName::parse(&from).map_err(|error| field("from", error))?;
    let drift = reader.promotion_drift(&from).await?;
    read.with_tag(&PromotionDriftModel::new(&drift))
}

fn promotion(into: StreamId, new: &NewPromotion) -> Result<PromoteRelease, Problem> {
    let stream = StreamName::parse(&new.from.stream).map_err(|error| field("from.stream", error))?;
    let version = Version::parse(&new.from.version).map_err(|error| field("from.version", error))?;
    let own_version =
        new.version.as_ref().map(|version| Version::parse(version).map_err(|error| field("version", error)));
    let payloads = new.payloads.as_deref().map(payloads).transpose()?;
    let from = Promotion { stream, version };
    Ok(PromoteRelease { stream: into, from, version: own_version.transpose()?, payloads })
}

fn payloads(documents: &[PayloadDocument]) -> Result<LiteMap<PayloadKey, Payload>, Problem> {
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
            return Err(field(&format!("payloads[{index}]"), "is the second payload for its arch and scheme"));
        }
    }
    Ok(payloads.into_iter().collect())
}
