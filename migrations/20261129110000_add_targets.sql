-- How many of its open targets, counted from the newest, a node is shown; null: all of them, as processes that do not know the column show.

alter table streams
    add column newest_targets smallint,
    add constraint streams_newest_targets_in_range check (newest_targets between 1 and 1000);
