-- Repositories that mirror a stream's images, and what was taken away here from releases that upstream has.

alter table streams
    add column mirrors text[] not null default '{}',
    add constraint streams_mirrors_not_null check (array_position(mirrors, null) is null);

alter table releases
    add column cleared text[] not null default '{}',
    add constraint releases_cleared_known check (cleared <@ array ['barrier', 'dead_end', 'rollouts']);
