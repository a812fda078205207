package shop

import (
	"math"
	"net"
	"strconv"
	"strings"
)

// Every span gets 10 to 15 attributes, named by the semantic conventions v1.40; error.type is one of them.

// port is the caller's port. Between two instances a few connections stay open; customers come with a port of their own.
func (d *dresser) port(s *Span) int64 {
	n := d.rng.Uint64()
	if s.Parent >= 0 {
		n = mix(uint64(d.shop.Instance(&d.visit.Spans[s.Parent])<<16|d.shop.Instance(s)<<4) | n&3)
	}
	return int64(32768 + n%28232)
}

// size is a log-normal number of bytes.
func (d *dresser) size(median float64) int64 {
	return 1 + int64(median*math.Exp(d.rng.NormFloat64()))
}

// path fills the parameters of a route.
func (d *dresser) path(route string) string {
	for _, parameter := range [][2]string{
		{"{product_id}", d.product},
		{"{order_id}", d.order},
		{"{asset_id}", d.asset(route)},
		{"{key}", "img/" + d.product + "/" + strconv.Itoa(d.rng.IntN(12)) + ".webp"},
	} {
		route = strings.Replace(route, parameter[0], parameter[1], 1)
	}
	return route
}

func (d *dresser) asset(route string) string {
	if !strings.Contains(route, "{asset_id}") {
		return ""
	}
	return hexText(d.rng, 20)
}

func (d *dresser) queryOf(route string) string {
	switch route {
	case "/search":
		return "q=" + d.term + "&page=" + strconv.Itoa(1+d.rng.IntN(4)) + "&sort=relevance"
	case "/ads":
		return "slot=home-" + strconv.Itoa(d.rng.IntN(9)) + "&ctx=" + hexText(d.rng, 12)
	}
	return ""
}

// caller is the address of the instance that sent a span's request, or the customer's.
func (d *dresser) caller(s *Span) string {
	if s.Parent < 0 {
		return d.address
	}
	return d.shop.instances[d.shop.Instance(&d.visit.Spans[s.Parent])].ip
}

// callee is the address of some instance of a service.
func (d *dresser) callee(service int) string {
	return d.shop.instances[d.shop.first[service]+d.rng.IntN(services[service].Instances)].ip
}

func (d *dresser) httpStatus(s *Span) int64 {
	switch {
	case s.overloaded:
		return 503
	case s.Failed && s.origin && s.Kind == Client:
		return 504
	case s.Failed && (s.origin || s.answered):
		return 500
	case s.Failed:
		return 502
	case strings.HasPrefix(s.Name, "POST /cart") || strings.HasPrefix(s.Name, "POST /charges"):
		return 201
	}
	return 200
}

func (d *dresser) httpServer(s *Span) {
	w, e := d.span, s.served
	w.Text("http.request.method", e.method)
	w.Text("http.route", e.route)
	w.Text("url.path", d.path(e.route))
	w.Text("url.scheme", "http")
	w.Text("server.address", services[s.Service].Name)
	w.Int("server.port", 8080)
	w.Text("client.address", d.address)
	w.Text("network.peer.address", d.caller(s))
	w.Int("network.peer.port", d.port(s))
	w.Text("network.protocol.version", "1.1")
	w.Text("user_agent.original", d.agent)
	w.Int("http.response.status_code", d.httpStatus(s))
	if q := d.queryOf(e.route); q != "" {
		w.Text("url.query", q)
	} else {
		w.Int("http.response.body.size", d.size(9000))
	}
	if s.Parent < 0 {
		w.Text("session.id", d.session)
		if !s.Failed {
			w.Text("user.id", d.user)
		}
	} else {
		w.TextList("http.request.header.x-request-id", d.requestID)
	}
}

func (d *dresser) httpClient(s *Span) {
	w, e := d.span, s.served
	host := services[e.service].Name
	url := "http://" + host + ":8080" + d.path(e.route)
	if q := d.queryOf(e.route); q != "" {
		url += "?" + q
	}
	w.Text("http.request.method", e.method)
	w.Text("url.full", url)
	w.Text("url.template", e.route)
	w.Text("server.address", host)
	w.Int("server.port", 8080)
	w.Text("service.peer.name", host)
	w.Text("network.peer.address", d.callee(e.service))
	w.Int("network.peer.port", 8080)
	w.Text("network.protocol.version", "1.1")
	w.Int("http.response.status_code", d.httpStatus(s))
	w.Int("http.response.body.size", d.size(9000))
	w.Int("thread.id", d.thread())
	if s.attempt > 0 {
		w.Int("http.request.resend_count", int64(s.attempt))
	}
}

func (d *dresser) externalClient(s *Span) {
	w, e := d.span, s.done.external
	w.Text("http.request.method", e.method)
	w.Text("url.full", "https://"+e.host+d.path(e.template)+"?rid="+hexText(d.rng, 16))
	w.Text("url.template", e.template)
	w.Text("server.address", e.host)
	w.Int("server.port", 443)
	w.Text("network.peer.address", "198.51.100."+strconv.Itoa(1+d.rng.IntN(254)))
	w.Int("network.peer.port", 443)
	w.Text("network.protocol.version", "1.1")
	w.Int("http.response.status_code", d.httpStatus(s))
	w.Int("http.request.body.size", d.size(700))
	w.Int("http.response.body.size", d.size(2500))
	w.Int("thread.id", d.thread())
}

func (d *dresser) rpcStatus(s *Span) string {
	switch {
	case s.overloaded:
		return "UNAVAILABLE"
	case s.Failed:
		return "INTERNAL"
	}
	return "OK"
}

func (d *dresser) rpcServer(s *Span) {
	w := d.span
	caller := d.caller(s)
	w.Text("rpc.system.name", "grpc")
	w.Text("rpc.method", s.Name)
	w.Text("rpc.response.status_code", d.rpcStatus(s))
	w.Text("server.address", services[s.Service].Name)
	w.Int("server.port", 9090)
	w.Text("client.address", caller)
	w.Text("network.peer.address", caller)
	w.Int("network.peer.port", d.port(s))
	w.Text("network.transport", "tcp")
	w.Text("network.type", "ipv4")
	w.Int("thread.id", d.thread())
	w.TextList("rpc.request.metadata.x-request-id", d.requestID)
	if d.rng.IntN(3) == 0 {
		w.Text("user.id", d.user)
	}
}

func (d *dresser) rpcClient(s *Span) {
	w, service := d.span, s.served.service
	w.Text("rpc.system.name", "grpc")
	w.Text("rpc.method", s.Name)
	w.Text("rpc.response.status_code", d.rpcStatus(s))
	w.Text("server.address", services[service].Name)
	w.Int("server.port", 9090)
	w.Text("service.peer.name", services[service].Name)
	w.Text("network.peer.address", d.callee(service))
	w.Int("network.peer.port", 9090)
	w.Text("network.transport", "tcp")
	w.Text("network.type", "ipv4")
	w.Int("thread.id", d.thread())
	w.Int("app.rpc.deadline_ms", int64(100*(1+d.rng.IntN(50))))
}

func (d *dresser) database(s *Span) {
	w, q := d.span, s.done.query
	w.Text("db.system.name", q.store.system)
	if q.store.namespace != "" {
		w.Text("db.namespace", q.store.namespace)
	}
	w.Text("db.operation.name", q.operation)
	if q.target != "" {
		w.Text("db.collection.name", q.target)
	}
	w.Text("db.query.summary", q.summary)
	w.Text("db.query.text", q.text)
	w.Text("server.address", q.store.host)
	w.Int("server.port", int64(q.store.port))
	w.Text("network.peer.address", "10.20."+strconv.Itoa(len(q.store.host))+"."+strconv.Itoa(10+d.rng.IntN(6)))
	w.Int("network.peer.port", int64(q.store.port))
	if q.operation == "SELECT" || q.operation == "find" || q.operation == "search" {
		w.Int("db.response.returned_rows", d.size(8))
	}
	w.Text("db.client.connection.pool.name", net.JoinHostPort(q.store.host, strconv.Itoa(q.store.port))+"/"+services[s.Service].Name)
	w.Int("thread.id", d.thread())
	w.Int("app.db.pool_wait_us", int64(d.rng.ExpFloat64()*200))
}

func (d *dresser) message(s *Span, t *topic, operation string) {
	w := d.span
	w.Text("messaging.system", t.system)
	w.Text("messaging.operation.name", operation)
	w.Text("messaging.destination.name", t.name)
	w.Text("messaging.client.id", services[s.Service].Name+"-"+strconv.Itoa(s.Instance))
	w.Text("messaging.message.id", uuid(d.rng))
	w.Int("messaging.message.body.size", d.size(900))
	if t.system == "kafka" {
		w.Text("messaging.destination.partition.id", strconv.Itoa(d.rng.IntN(24)))
		w.Text("messaging.kafka.message.key", d.order)
		w.Int("messaging.kafka.offset", int64(d.rng.IntN(90_000_000)))
	} else {
		w.Text("messaging.rabbitmq.destination.routing_key", "email.transactional")
		w.Text("messaging.message.conversation_id", d.session)
	}
	w.Text("server.address", t.host)
	w.Int("server.port", int64(t.port))
}

func (d *dresser) producer(s *Span) {
	d.message(s, s.done.topic, "send")
	d.span.Text("messaging.operation.type", "send")
	d.span.Int("thread.id", d.thread())
}

func (d *dresser) consumer(s *Span) {
	t := s.served.topic
	d.message(s, t, "process")
	d.span.Text("messaging.operation.type", "process")
	d.span.Text("messaging.consumer.group.name", services[s.Service].Name)
	if s.Parent >= 0 {
		producer := &d.visit.Spans[s.Parent]
		d.span.Link(d.visit.Traces[producer.Trace].ID, producer.ID)
	}
}

func (d *dresser) internal(s *Span) {
	w := d.span
	at := strings.LastIndexByte(s.Name, '.')
	w.Text("code.function.name", s.Name)
	w.Text("code.file.path", "/app/src/"+services[s.Service].Name+"/"+strings.ReplaceAll(strings.Trim(s.Name[:max(at, 0)], "()*."), ".", "/"))
	w.Int("code.line.number", int64(20+len(s.Name)*7))
	w.Int("thread.id", d.thread())
	w.Text("thread.name", "worker-"+strconv.Itoa(d.rng.IntN(64)))
	w.Text("app.cart.id", d.cart)
	w.Text("app.product.id", d.product)
	w.Text("app.currency", d.currency)
	w.Double("app.amount", math.Round(d.rng.ExpFloat64()*8000)/100)
	w.Int("app.items", 1+int64(d.rng.IntN(9)))
	w.Bool("app.cached", d.rng.IntN(3) == 0)
	w.Text("user.id", d.user)
}

func (d *dresser) thread() int64 { return int64(1 + d.rng.IntN(200)) }
