//! Events, as they happen.

use crate::{
    api::{
        event_stream::{StreamOptions, lifetime},
        model::EventModel,
        query,
        refuse::field,
        request::{LazyQuery, ReadRequest},
        respond::Answer,
        state::Api,
    },
    domain::ids::{ProductName, StreamName},
    http::problem::{Problem, ProblemKind},
    manage::EventFilter,
};
use axum::{
    extract::State,
    response::{IntoResponse, Sse},
};
use futures_util::stream;
use http::{HeaderMap, HeaderName};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(follow_events))
}

/// The events to send.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// Only events of this product. Default: of all.
    product: Option<String>,
    /// Only events of streams with this name, and stops of products. Default: of all.
    stream: Option<String>,
    /// Only events after the one with this id, for clients that cannot send `Last-Event-ID`. The header takes precedence. Default: only events
    /// from now on.
    #[serde(default, deserialize_with = "query::between::<0, { i64::MAX }, _>")]
    #[param(minimum = 0)]
    after: Option<i64>,
    /// If false, the response ends after the events that there are. Default: true.
    #[serde(default = "is_following", deserialize_with = "query::flag")]
    #[param(required = false, default = true)]
    follow: bool,
}

fn is_following() -> bool {
    true
}

impl EventsQuery {
    fn filter(&self) -> Result<EventFilter, Problem> {
        let product = self.product.as_deref().map(ProductName::parse).transpose();
        let stream = self.stream.as_deref().map(StreamName::parse).transpose();
        Ok(EventFilter {
            product: product.map_err(|error| field("product", error))?,
            stream: stream.map_err(|error| field("stream", error))?,
        })
    }
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let mut values = headers.get_all(LAST_EVENT_ID).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.parse().ok()).filter(|id| *id >= 0 && values.next().is_none());
    let problem = || ProblemKind::BadRequest.because("Last-Event-ID must be the id of an event, a whole number");
    id.map(Some).ok_or_else(problem)
}

/// Follow events
///
/// The response is a stream of server-sent events: `id` is the id of the event, `event` its kind, `data` one line of JSON. It has the events of
/// the streams and products that the caller may read, in the order of their ids. It ends when the token expires, and after 15 minutes at
/// the latest; clients for server-sent events reconnect with `Last-Event-ID`, and get what they have not got yet. If events after that id were
/// deleted, the first event is `missed`, whose data names the oldest one that is kept: `{"oldest": 1784728800017}`.
#[utoipa::path(get, path = "/events", tag = "history",
    params(EventsQuery, ("Last-Event-ID" = Option<i64>, Header, description = "Only events after the one with this id")),
    responses((status = 200, description = "Server-sent events; the schema is that of their data", body = EventModel,
        content_type = "text/event-stream")))]
async fn follow_events(State(api): State<Api>, read: ReadRequest, query: LazyQuery<EventsQuery>) -> Answer {
    let manage = api.manage()?;
    // Callers without any role learn nothing about errors in the request.
    manage.check_events(&read.caller, &EventFilter::default())?;
    let query = query.parse()?;
    let (filter, last) = (query.filter()?, last_event_id(&read.headers)?);
    manage.check_events(&read.caller, &filter)?;
    let too_many = || ProblemKind::Overloaded.because("too many event streams are open");
    let permit = api.event_streams().acquire().ok_or_else(too_many)?;
    let options = StreamOptions { follows: query.follow, lifetime: lifetime(api.timestamp()?, read.caller.expires_at) };
    let reader = manage.event_reader(read.caller, filter, last.or(query.after)).await?;
    let not_ready = || ProblemKind::NotReady.because("no process has begun to write events");
    let mut events = api.event_streams().spawn(reader.ok_or_else(not_ready)?, options, permit);
    Ok(Sse::new(stream::poll_fn(move |context| events.poll_recv(context))).into_response())
}
