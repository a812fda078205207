package shop

import (
	"slices"
)

// Service is one program of the shop. It runs as several instances, each with a resource of its own.
type Service struct {
	Name string
	// Language is telemetry.sdk.language; it decides how exceptions and instrumentation scopes look.
	Language  string
	Instances int
	// Versions lists what is deployed; the last instance runs the last one, all others the first.
	Versions []string
}

var services = []Service{
	{"edge-proxy", "go", 3, []string{"1.31.2"}},
	{"storefront", "nodejs", 4, []string{"4.18.0", "4.19.0"}},
	{"mobile-bff", "nodejs", 3, []string{"2.7.3"}},
	{"auth", "go", 3, []string{"3.2.0"}},
	{"account", "java", 3, []string{"5.0.4"}},
	{"catalog", "java", 4, []string{"8.11.1", "8.12.0"}},
	{"search", "java", 3, []string{"6.3.0"}},
	{"recommendation", "python", 3, []string{"0.42.0", "0.43.0"}},
	{"reviews", "python", 2, []string{"1.9.6"}},
	{"ads", "python", 2, []string{"2.0.1"}},
	{"media", "go", 2, []string{"1.4.0"}},
	{"cart", "dotnet", 3, []string{"7.5.2"}},
	{"pricing", "go", 3, []string{"2.21.0", "2.22.0"}},
	{"promotion", "java", 2, []string{"3.8.1"}},
	{"currency", "go", 2, []string{"1.0.9"}},
	{"checkout", "go", 3, []string{"9.4.0", "9.5.0"}},
	{"payment", "java", 3, []string{"4.2.7"}},
	{"fraud", "python", 2, []string{"1.16.0"}},
	{"orders", "java", 4, []string{"6.0.3"}},
	{"inventory", "go", 4, []string{"5.7.0", "5.8.0"}},
	{"shipping", "go", 2, []string{"2.2.2"}},
	{"tax", "nodejs", 2, []string{"1.3.5"}},
	{"warehouse", "java", 2, []string{"3.1.0"}},
	{"loyalty", "dotnet", 2, []string{"2.6.0"}},
	{"notification", "python", 2, []string{"4.0.0"}},
}

// version is what an instance runs.
func (s *Service) version(number int) string {
	if number == s.Instances-1 {
		return s.Versions[len(s.Versions)-1]
	}
	return s.Versions[0]
}

// Services lists the shop's services; a Span's Service is an index into it. Callers do not change it.
func Services() []Service { return services }

// ServiceIndex is the number of a service, as Span.Service has it; -1 where there is none of the name.
func ServiceIndex(name string) int {
	return slices.IndexFunc(services, func(s Service) bool { return s.Name == name })
}

// store is a database.
type store struct {
	system string // db.system.name
	// namespace is db.namespace; empty for systems that have none.
	namespace string
	host      string
	port      int
}

var stores = map[string]*store{
	"accounts":   {"postgresql", "accounts", "pg-accounts.data.shop.internal", 5432},
	"orders":     {"postgresql", "orders", "pg-orders.data.shop.internal", 5432},
	"inventory":  {"postgresql", "inventory", "pg-inventory.data.shop.internal", 5432},
	"ledger":     {"postgresql", "ledger", "pg-ledger.data.shop.internal", 5432},
	"warehouse":  {"postgresql", "warehouse", "pg-warehouse.data.shop.internal", 5432},
	"loyalty":    {"postgresql", "loyalty", "pg-loyalty.data.shop.internal", 5432},
	"reviews":    {"mysql", "reviews", "mysql-content.data.shop.internal", 3306},
	"promotions": {"mysql", "promotions", "mysql-content.data.shop.internal", 3306},
	"catalog":    {"mongodb", "catalog", "mongo-catalog.data.shop.internal", 27017},
	"shipping":   {"mongodb", "shipping", "mongo-shipping.data.shop.internal", 27017},
	"search":     {"elasticsearch", "product-search", "es-search.data.shop.internal", 9200},
	"sessions":   {"redis", "", "redis-sessions.data.shop.internal", 6379},
	"carts":      {"redis", "", "redis-carts.data.shop.internal", 6379},
	"cache":      {"redis", "", "redis-cache.data.shop.internal", 6379},
}

// external is somebody else's HTTP service.
type external struct {
	host   string
	method string
	// template is url.template.
	template string
	latency  latency
}

// topic is a queue of a message broker.
type topic struct {
	name   string
	system string // messaging.system
	host   string
	port   int
	// consumers serve its messages; none means that somebody outside the shop does.
	consumers []*endpoint
}
