package shop

import "time"

const (
	us = time.Microsecond
	ms = time.Millisecond
)

// browsing defines what a look at the shop needs.
func (m *menu) browsing() {
	m.grpc("auth.VerifySession", 400*us,
		ask("sessions", "GET", "", "GET session:?", 300*us))
	m.grpc("account.GetAccount", 900*us,
		ask("accounts", "SELECT", "accounts", "SELECT id, email, locale, tier, created_at FROM accounts WHERE id = $1", 1200*us))
	m.grpc("catalog.GetProduct", 700*us,
		ask("cache", "GET", "", "GET product:?", 250*us),
		maybe(0.35, ask("catalog", "find", "products", `{"find": "products", "filter": {"_id": "?"}, "limit": 1}`, 2*ms)))
	m.grpc("catalog.ListProducts", 1100*us,
		ask("cache", "MGET", "", "MGET product:? product:? product:? product:?", 450*us),
		maybe(0.4, ask("catalog", "find", "products",
			`{"find": "products", "filter": {"_id": {"$in": "?"}}, "projection": {"description": 0}}`, 4*ms)))
	m.grpc("inventory.CheckStock", 600*us,
		ask("inventory", "SELECT", "stock", "SELECT sku, on_hand, reserved FROM stock WHERE sku = ANY($1)", 1100*us))
	m.grpc("currency.Convert", 200*us)
	m.grpc("promotion.Match", 1300*us,
		ask("promotions", "SELECT", "campaigns",
			"SELECT id, rule, discount FROM campaigns WHERE active = ? AND starts_at <= ? AND ends_at > ?", 1600*us))
	m.grpc("pricing.Quote", 800*us,
		maybe(0.5, m.call("promotion.Match")),
		maybe(0.4, m.call("currency.Convert")))
	m.grpc("recommendation.List", 5*ms,
		ask("cache", "GET", "", "GET affinity:?", 300*us),
		maybe(0.7, m.call("catalog.ListProducts")))
	m.http("reviews GET /products/{product_id}/reviews", 2*ms,
		ask("reviews", "SELECT", "reviews",
			"SELECT id, author, stars, body FROM reviews WHERE product_id = ? ORDER BY helpful DESC LIMIT ?", 2500*us))
	m.http("ads GET /ads", 1500*us,
		ask("cache", "GET", "", "GET campaign:?", 250*us))
	m.http("search GET /search", 2*ms,
		ask("search", "search", "products",
			`{"query": {"multi_match": {"query": "?", "fields": ["title^3", "brand", "description"]}}, "size": "?"}`, 9*ms),
		work("com.shop.search.Ranker.rerank", 3*ms))
	m.http("media GET /assets/{asset_id}", 700*us,
		maybe(0.8, ask("cache", "GET", "", "GET asset:?", 250*us)),
		fetch("shop-media.s3.eu-central-1.amazonaws.com", "GET", "/{key}", 12*ms))
	m.grpc("cart.GetCart", 500*us,
		ask("carts", "HGETALL", "", "HGETALL cart:?", 350*us))
	m.grpc("cart.AddItem", 700*us,
		ask("carts", "HSET", "", "HSET cart:? ? ?", 350*us),
		ask("carts", "EXPIRE", "", "EXPIRE cart:? ?", 250*us))
	m.grpc("cart.EmptyCart", 400*us,
		ask("carts", "DEL", "", "DEL cart:?", 250*us))
}

// buying defines what an order needs.
func (m *menu) buying() {
	m.grpc("inventory.Reserve", 900*us,
		ask("inventory", "SELECT", "stock", "SELECT on_hand, reserved FROM stock WHERE sku = $1 FOR UPDATE", 1500*us),
		ask("inventory", "UPDATE", "stock", "UPDATE stock SET reserved = reserved + $2, updated_at = now() WHERE sku = $1", 1800*us),
		maybe(0.4, m.publish("stock.changed")))
	m.http("tax POST /v1/calculate", 1200*us,
		maybe(0.35, fetch("api.levy-tax.example", "POST", "/v2/rates", 35*ms)))
	m.http("shipping POST /quotes", 1500*us,
		ask("shipping", "find", "rates", `{"find": "rates", "filter": {"zone": "?", "weight": {"$lte": "?"}}}`, 2*ms),
		maybe(0.5, fetch("rates.parcelwing.example", "POST", "/quotes", 60*ms)))
	m.grpc("fraud.Assess", 7*ms,
		ask("cache", "HGETALL", "", "HGETALL profile:?", 400*us),
		maybe(0.3, optional(fetch("risk.fraudshield.example", "POST", "/v3/score", 45*ms))))
	m.http("payment POST /charges", 2500*us,
		m.call("fraud.Assess"),
		fetch("api.payfast.example", "POST", "/v1/charges", 140*ms),
		ask("ledger", "INSERT", "entries",
			"INSERT INTO entries (id, order_id, amount, currency, provider_ref) VALUES ($1, $2, $3, $4, $5)", 2200*us),
		m.publish("payments.captured"))
	m.grpc("orders.Create", 1800*us,
		ask("orders", "INSERT", "orders",
			"INSERT INTO orders (id, account_id, total, currency, state) VALUES ($1, $2, $3, $4, $5)", 2*ms),
		times(1, 3, ask("orders", "INSERT", "order_items",
			"INSERT INTO order_items (order_id, sku, quantity, unit_price) VALUES ($1, $2, $3, $4)", 1500*us)),
		m.publish("orders.placed"))
	m.grpc("orders.Get", 1200*us,
		ask("orders", "SELECT", "orders", "SELECT id, state, total, currency, placed_at FROM orders WHERE id = $1", 1500*us),
		ask("orders", "SELECT", "order_items", "SELECT sku, quantity, unit_price FROM order_items WHERE order_id = $1", 1500*us))
	m.grpc("orders.List", 1500*us,
		ask("orders", "SELECT", "orders",
			"SELECT id, state, total FROM orders WHERE account_id = $1 ORDER BY placed_at DESC LIMIT $2", 3*ms),
		times(1, 3, ask("orders", "SELECT", "order_items", "SELECT sku, quantity FROM order_items WHERE order_id = $1", 1300*us)))
	m.http("checkout POST /checkout", 3*ms,
		m.call("cart.GetCart"),
		work("checkout.(*Service).validateAddress", 600*us),
		together(m.call("pricing.Quote"), m.call("tax POST /v1/calculate"), m.call("shipping POST /quotes")),
		times(1, 3, m.call("inventory.Reserve")),
		m.call("payment POST /charges"),
		m.call("orders.Create"),
		optional(m.call("cart.EmptyCart")))
}

// messages defines who consumes what.
func (m *menu) messages() {
	m.consume("orders", "payments.captured", 1200*us,
		ask("orders", "UPDATE", "orders", "UPDATE orders SET state = $2, paid_at = $3 WHERE id = $1", 1800*us))
	m.consume("warehouse", "orders.placed", 2500*us,
		ask("warehouse", "INSERT", "picks", "INSERT INTO picks (order_id, bin, sku, quantity) VALUES ($1, $2, $3, $4)", 1900*us))
	m.consume("loyalty", "orders.placed", 1100*us,
		ask("loyalty", "UPDATE", "balances", "UPDATE balances SET points = points + $2 WHERE account_id = $1", 1700*us))
	m.consume("search", "stock.changed", 1500*us,
		ask("search", "update", "products", `{"doc": {"available": "?", "updated": "?"}}`, 5*ms))
	m.consume("notification", "notifications.email", 3*ms,
		work("notification.render.render_template", 2*ms),
		fetch("api.mailgull.example", "POST", "/v3/messages", 80*ms))
}

// pages defines the two front ends and the ways in through the proxy.
func (m *menu) pages() {
	m.http("storefront GET /", 4*ms,
		m.call("auth.VerifySession"),
		together(
			m.call("catalog.ListProducts"),
			optional(m.call("recommendation.List")),
			optional(maybe(0.7, m.call("ads GET /ads")))),
		maybe(0.5, m.call("cart.GetCart")),
		work("renderHomePage", 5*ms))
	m.http("storefront GET /products/{product_id}", 3*ms,
		maybe(0.6, m.call("auth.VerifySession")),
		m.call("catalog.GetProduct"),
		together(
			m.call("pricing.Quote"),
			m.call("inventory.CheckStock"),
			optional(m.call("reviews GET /products/{product_id}/reviews"))),
		optional(maybe(0.4, m.call("recommendation.List"))),
		optional(maybe(0.3, m.publish("clickstream"))))
	m.http("storefront GET /search", 3*ms,
		maybe(0.5, m.call("auth.VerifySession")),
		m.call("search GET /search"),
		m.call("catalog.ListProducts"),
		times(1, 3, m.call("pricing.Quote")))
	m.http("storefront POST /cart/items", 2*ms,
		m.call("auth.VerifySession"),
		m.call("inventory.CheckStock"),
		m.call("cart.AddItem"),
		optional(maybe(0.6, m.publish("clickstream"))))
	m.http("mobile-bff GET /v2/home", 3*ms,
		m.call("auth.VerifySession"),
		together(
			m.call("account.GetAccount"),
			m.call("catalog.ListProducts"),
			optional(m.call("recommendation.List")),
			m.call("cart.GetCart")))
	m.http("mobile-bff GET /v2/orders", 2*ms,
		m.call("auth.VerifySession"),
		m.call("orders.List"),
		times(1, 2, m.call("catalog.ListProducts")))
	m.http("mobile-bff GET /v2/orders/{order_id}", 2*ms,
		m.call("auth.VerifySession"),
		m.call("orders.Get"),
		maybe(0.5, m.call("catalog.ListProducts")))
	m.http("account POST /login", 2500*us,
		ask("accounts", "SELECT", "accounts", "SELECT id, password_hash, locked FROM accounts WHERE email = $1", 1300*us),
		work("com.shop.account.Passwords.verify", 60*ms),
		ask("sessions", "SET", "", "SET session:? ? EX ?", 350*us),
		ask("accounts", "UPDATE", "accounts", "UPDATE accounts SET last_login_at = $2 WHERE id = $1", 1700*us),
		optional(m.publish("notifications.email")))
	m.gateway(14, "GET /", "storefront GET /")
	m.gateway(24, "GET /products/{product_id}", "storefront GET /products/{product_id}")
	m.gateway(12, "GET /search", "storefront GET /search")
	m.gateway(17, "POST /cart/items", "storefront POST /cart/items")
	m.gateway(9, "POST /checkout", "checkout POST /checkout")
	m.gateway(10, "GET /v2/home", "mobile-bff GET /v2/home")
	m.gateway(6, "GET /v2/orders", "mobile-bff GET /v2/orders")
	m.gateway(6, "GET /v2/orders/{order_id}", "mobile-bff GET /v2/orders/{order_id}")
	m.gateway(5, "POST /login", "account POST /login")
	m.http("edge-proxy GET /gallery/{product_id}", 500*us,
		m.call("catalog.GetProduct"), times(1, 3, m.call("media GET /assets/{asset_id}")))
	m.entry(5, "edge-proxy GET /gallery/{product_id}")
}

// gateway defines a way in that the proxy hands on to one service.
func (m *menu) gateway(weight int, route, target string) {
	name := "edge-proxy " + route
	m.http(name, 400*us, m.call(target))
	m.entry(weight, name)
}
