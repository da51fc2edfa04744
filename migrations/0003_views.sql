-- Which schema serves each read model. A read model lives in a schema of its own, `<view>_v<version>`, so that a new
-- one can be built beside it; queries go where this row points. Switching is one update: renaming schemas would queue
-- every reader behind the slowest and break prepared statements.
create table view_pointers (
    name        text primary key,
    schema      text not null,
    switched_at timestamptz not null default now()
);
