CREATE TABLE "products" (
  "name" text PRIMARY KEY NOT NULL,
  "stock" integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE "orders" (
  "id" serial PRIMARY KEY NOT NULL,
  "item" text NOT NULL,
  "status" text DEFAULT 'new' NOT NULL
);
--> statement-breakpoint
INSERT INTO "products" ("name", "stock") VALUES ('tea', 100), ('coffee', 0);
