-- A stream or a product is deleted as long as its newest revision is this one. Its row and its history stay. A process of the version before
-- shows a deleted stream as an empty one. It may create a stream in a deleted product, which then exists again.
alter table streams add column deleted_revision bigint;
alter table products add column deleted_revision bigint;
