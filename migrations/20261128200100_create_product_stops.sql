-- Emergency stops of whole products: one row each, whatever the number of streams. A stop that was lifted keeps its row, so that the past
-- can be shown as it was.

create table product_stops (
    id         bigint generated always as identity primary key,
    product_id bigint      not null references products (id),
    since      bigint      not null,
    reason     text        not null,
    lifted_at  bigint,
    changed_at timestamptz not null,
    constraint product_stops_reason_given check (btrim(reason) <> ''),
    constraint product_stops_lifted_after_since check (lifted_at >= since)
);

create unique index product_stops_standing on product_stops (product_id) where lifted_at is null;
