-- Numbers of orders, as people say them. A process takes a hundred at a time and gives them out one by one, so that an order
-- costs no round trip for its number: what is left when it stops is skipped, and of two processes the later order may have
-- the smaller number. Six digits from the start.
create sequence order_numbers as bigint start with 100001 increment by 100;
