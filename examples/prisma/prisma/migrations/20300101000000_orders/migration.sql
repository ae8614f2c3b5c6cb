CREATE TABLE "products" (
  "name" TEXT NOT NULL,
  "stock" INTEGER NOT NULL,
  CONSTRAINT "products_pkey" PRIMARY KEY ("name")
);

CREATE TABLE "orders" (
  "id" SERIAL NOT NULL,
  "item" TEXT NOT NULL,
  "status" TEXT NOT NULL DEFAULT 'new',
  CONSTRAINT "orders_pkey" PRIMARY KEY ("id")
);

INSERT INTO "products" ("name", "stock") VALUES ('tea', 100), ('coffee', 0);
