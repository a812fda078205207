package policy

import (
	"path"
	"strings"
	"testing"
)

// importRule says which packages of ours the packages under a folder may import in their code (their tests may import more).
// The first rule whose folder holds the package counts.
type importRule struct {
	folder string
	may    []string // folders; what lies below them is included unless it stands in rules of its own
	why    string
}

var backendImports = []string{
	"internal/codec", "internal/conventions", "internal/tracetree", "internal/tracestore", "internal/tracestore/tracerow",
	"internal/tracestore/rollup", "internal/tracestore/block",
}

// Imports point one way: components → contracts and analysis → tracetree → conventions.
var importRules = []importRule{
	{"internal/conventions", []string{"internal/attributes"}, "names know nothing of what they name"},
	{"internal/pdatalayout", nil, "it knows memory, not what stands in it"},
	{"internal/attributes", []string{"internal/pdatalayout"}, "attributes are pdata's, whatever they mean"},
	{"internal/tracetree", []string{"internal/attributes", "internal/conventions"}, "the model of a trace knows its names, nothing else"},
	{
		"internal/analysis/shoptest",
		[]string{"internal/analysis", "internal/conventions", "internal/tracegen", "internal/tracetree"},
		"tests of the analysis and of storages take the simulated shop's traces from it; no code of the product may",
	},
	{"internal/analysis", []string{"internal/attributes", "internal/conventions", "internal/tracetree"}, "analysis is pure functions over the tree"},
	{
		"internal/tracestore/tracerow",
		[]string{"internal/analysis", "internal/attributes", "internal/conventions", "internal/tracetree", "internal/tracestore"},
		"rows are made of annotations, or by analysis where a late fragment changes them",
	},
	{
		"internal/tracestore/rollup",
		[]string{"internal/attributes", "internal/codec", "internal/conventions", "internal/tracetree", "internal/tracestore"},
		"rollups add up what annotations say and analyse nothing",
	},
	{
		"internal/tracestore/block",
		[]string{
			"internal/attributes", "internal/codec", "internal/conventions", "internal/otlpwire", "internal/tracetree", "internal/tracestore",
			"internal/tracestore/tracerow",
		},
		"the format of spans on disk knows no database and analyses nothing",
	},
	{
		"internal/tracestore/storetest",
		[]string{
			"internal/analysis", "internal/conventions", "internal/tracetree", "internal/tracestore", "internal/tracestore/memstore",
		},
		"the suite drives backends through the contract, and holds them against the reference",
	},
	{"internal/tracestore/memstore", backendImports, "a backend knows the contract"},
	{"internal/tracestore/pebblestore", backendImports, "a backend knows the contract"},
	{"internal/tracestore/clickhousestore/stock", nil, "it asks tables that others made, and knows nothing of ours"},
	{"internal/tracestore/clickhousestore", backendImports, "a backend knows the contract"},
	{
		"internal/tracestore",
		[]string{"internal/conventions", "internal/hostextension", "internal/tracetree"},
		"the contract knows no backend and no analysis",
	},
	{
		"internal/servicemap/rollupmap",
		[]string{"internal/analysis/blastradius", "internal/servicemap", "internal/tracestore"},
		"it answers from the rollups, through their contract",
	},
	{
		"internal/servicemap/neo4jmap",
		[]string{
			"internal/analysis/blastradius", "internal/analysis/servicegraph", "internal/conventions", "internal/servicemap",
			"internal/tracestore/rollup", "internal/tracestore/tracerow", "internal/tracetree",
		},
		"a storage of the map knows the contract; what a call adds, the rollups say",
	},
	{
		"internal/servicemap/servicemaptest",
		[]string{
			"internal/analysis", "internal/analysis/shoptest", "internal/conventions", "internal/servicemap", "internal/servicemap/rollupmap",
			"internal/tracegen", "internal/tracestore/memstore", "internal/tracestore/storetest", "internal/tracetree",
		},
		"the suite drives storages of the map through the contract, and holds them against the shop's truth and the reference",
	},
	{
		"internal/servicemap",
		[]string{"internal/analysis/blastradius", "internal/analysis/servicegraph", "internal/hostextension"},
		"the contract knows no storage; its answers are in the words of the analysis of graphs",
	},
	{"internal/codec", nil, "it knows bytes, not what they mean"},
	{"internal/otlpwire", []string{"internal/pdatalayout"}, "it knows how OTLP is written, not what Tracewright makes of it"},
	{"internal/rawspans", []string{"internal/otlpwire"}, "how a request goes through a pipeline as it came; those at both ends know of it"},
	{"internal/handback", nil, "it knows pdata, and neither who makes nor who takes it"},
	{"internal/journal", nil, "a log knows bytes, not what they mean"},
	{"internal/callexport/callexporttest", []string{"internal/callexport"}, "tests of exporters run them by it; no code of the product may"},
	{"internal/callexport", []string{"internal/tracetree"}, "what exporters of calls share knows a call by its id, and nothing of where it goes"},
	{"internal/componenthealth", nil, "what components say of themselves, and who watches them reads"},
	{"internal/tenant", nil, "one rule, used by what takes spans and what answers"},
	{"internal/tracesources", nil, "the contract between what runs sources and the API that changes them knows neither"},
	{"internal/hostextension", nil, "it knows the collector's extensions, not what they have"},
	{"internal/recovering", []string{"internal/hostextension"}, "it knows servers, not what they are asked"},
	{"internal/policy", nil, "rules about the tree"},
	{"internal/freeport", nil, "ports for what tests start"},
	{"internal/testcerts", nil, "certificates for what tests start"},
	{"internal/testservers", []string{"internal/freeport"}, "servers of others, which know nothing of the product"},
	{"receiver/awsxrayreceiver", nil, "a guard before the collector's receiver"},
	{"receiver/kafkareceiver", []string{"internal/hostextension", "internal/otlpwire"}, "the collector's receiver, guarded"},
	{"receiver/skywalkingreceiver", []string{"internal/hostextension", "internal/recovering"}, "the collector's receiver, guarded"},
	{
		"receiver/tracesourcesreceiver",
		[]string{"internal/recovering", "internal/tenant", "internal/tracesources", "internal/tracestore"},
		"it runs receivers, and keeps what it runs in the storage's contract; of spans it knows who sent them",
	},
	{"processor/agentguardprocessor", []string{"internal/tenant"}, "it counts bytes and spans, whatever they say"},
	{
		"processor/traceassemblyprocessor",
		[]string{
			"internal/codec", "internal/conventions", "internal/handback", "internal/journal", "internal/otlpwire", "internal/rawspans", "internal/tenant",
			"internal/tracetree", "internal/tracestore",
		},
		"assembly collects spans and judges nothing; of the store's contract it needs InFlightRegistry",
	},
	{
		"processor/traceanalysisprocessor",
		[]string{"internal/analysis", "internal/conventions", "internal/tracetree"},
		"analysis needs no storage",
	},
	{
		"connector/tracesummaryconnector",
		[]string{"internal/callexport", "internal/conventions", "internal/tracetree"},
		"summaries are what annotations say; nothing is analysed again",
	},
	{
		"exporter/tracestoreexporter",
		[]string{"internal/callexport", "internal/conventions", "internal/handback", "internal/tracetree", "internal/tracestore"},
		"the exporter finds its backend through component.Host",
	},
	{
		"exporter/traceclickhouseexporter",
		[]string{"internal/callexport", "internal/conventions", "internal/tracetree", "internal/tracestore/clickhousestore"},
		"it hands calls to the exporter that writes them, and knows which tables of the schema are for what comes again",
	},
	{
		"exporter/servicemapexporter",
		[]string{"internal/callexport", "internal/servicemap", "internal/servicemap/neo4jmap"},
		"it hands calls to the one storage of the map that is written by itself",
	},
	{
		"extension/tracestoreextension",
		[]string{
			"internal/componenthealth", "internal/conventions", "internal/servicemap", "internal/servicemap/neo4jmap", "internal/servicemap/rollupmap",
			"internal/tracestore", "internal/tracestore/clickhousestore", "internal/tracestore/pebblestore",
		},
		"the only place that wires a backend in",
	},
	{"extension/rawspansextension", []string{"internal/rawspans"}, "it makes placeholders of requests and looks into nothing"},
	{"internal/boundedzstd", nil, "it unpacks bytes"},
	{"extension/goruntimeextension", []string{"internal/boundedzstd"}, "it sets the process and knows nothing of traces"},
	{
		"extension/tracequeryextension",
		[]string{
			"internal/analysis", "internal/boundedzstd", "internal/componenthealth", "internal/conventions", "internal/jaegerjson", "internal/servicemap", "internal/servicemap/rollupmap", "internal/tenant",
			"internal/tracesources",
			"internal/tracetree", "internal/tracestore",
		},
		"queries read through the contract",
	},
	{"internal/jaegerjson", nil, "the JSON of Jaeger's API, which the product writes and the generator reads"},
	{"internal/tracegen", nil, "the traffic and its truth know nothing of the product that they check"},
	{
		"cmd/tracewrightctl",
		[]string{"internal/tracestore/pebblestore", "internal/tracestore/clickhousestore"},
		"it opens folders of the embedded store, prints ClickHouse's schema, and knows nothing of the pipeline",
	},
	{"cmd/tracegen", []string{"internal/jaegerjson", "internal/tracegen"}, "the generator knows the wire and the API, not the product's inside"},
	{"test/arrival", nil, "the package is its tests, which play the generator's traffic to the factory"},
	{"test/hostile", nil, "tests of the pipeline made of its factories; it holds no code"},
	{
		"test/playtest",
		[]string{
			"extension/tracequeryextension", "internal/tracegen", "internal/tracestore", "internal/tracestore/memstore", "processor/traceanalysisprocessor",
			"processor/traceassemblyprocessor",
		},
		"tests take from it what the components, wired together, make of the generator's traffic; no code of the product may",
	},
	{"test/propagation", nil, "the package is its tests, which play the generator's traffic"},
	{"test/insights", nil, "the package is its tests, which play the generator's traffic"},
	{"test/late", nil, "the package is its tests, which wire the components together"},
	{"test/e2e", nil, "the end-to-end tests know the built binary only"},
	{
		"test/rca",
		[]string{"internal/analysis", "internal/analysis/shoptest", "internal/tracegen"},
		"a measure of the analysis, in process",
	},
	{
		"test/bench",
		[]string{
			"processor/traceassemblyprocessor", "processor/traceanalysisprocessor", "internal/analysis", "internal/conventions", "internal/freeport",
			"internal/servicemap", "internal/servicemap/neo4jmap", "internal/servicemap/rollupmap", "internal/testservers", "internal/tracegen", "internal/tracestore",
			"internal/tracestore/clickhousestore", "internal/tracestore/clickhousestore/stock", "internal/tracestore/pebblestore", "internal/tracetree",
		},
		"benchmarks know built binaries, the factories of what they drive without a receiver, the traffic, and the stores that they fill",
	},
}

// Each heavy driver is imported by one package, and its types do not leave it.
var drivers = map[string]string{
	"github.com/cockroachdb/pebble":    "internal/tracestore/pebblestore",
	"gonum.org/v1/gonum":               "internal/analysis/servicegraph",
	"github.com/ebitengine/purego":     "internal/testservers/chserver",
	"github.com/neo4j/neo4j-go-driver": "internal/servicemap/neo4jmap",
	"github.com/ClickHouse":            "internal/tracestore/clickhousestore",
}

// driverParts are parts of a driver that are useful on their own, with the further packages that may import them, and what a measure fills
// a server with.
var driverParts = map[string]string{
	"github.com/neo4j/neo4j-go-driver/v5/neo4j": "test/bench",
	"github.com/cockroachdb/pebble/v2/vfs":      "internal/journal", // a file system that tests can crash; no database
}

// allowedOutside lists what the pure packages may import from outside, besides the standard library.
var allowedOutside = map[string][]string{
	"internal/conventions": {"go.opentelemetry.io/collector/pdata", "go.opentelemetry.io/otel/semconv"},
	"internal/tracetree":   {"go.opentelemetry.io/collector/pdata", "github.com/cespare/xxhash/v2"},
	"internal/analysis": {
		"go.opentelemetry.io/collector/pdata", "go.opentelemetry.io/otel/semconv", "github.com/cespare/xxhash/v2",
	},
	"internal/analysis/blastradius":    nil,
	"internal/analysis/capacity":       nil,
	"internal/analysis/contrast":       nil,
	"internal/analysis/cost":           nil,
	"internal/analysis/efficiency":     nil,
	"internal/analysis/insights":       nil,
	"internal/analysis/journeys":       nil,
	"internal/analysis/latencyprofile": nil,
	"internal/analysis/rootcause":      {"go.opentelemetry.io/collector/pdata"},
	"internal/analysis/servicegraph":   {"gonum.org/v1/gonum"},
	"internal/analysis/statistics":     nil,
	"internal/analysis/tracediff":      {"github.com/cespare/xxhash/v2"},
	"internal/analysis/whatif":         nil,
}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range modulePackages(t) {
		rule := ruleFor(p.dir())
		if rule == nil {
			t.Errorf("%s: no rule in importRules says what it may import", p.dir())
			continue
		}
		for _, imported := range p.Imports {
			if target := relative(imported); ours(imported) && !mayImport(rule, target) {
				t.Errorf("%s imports %s: not allowed, because %s", p.dir(), target, rule.why)
			}
		}
	}
}

func ruleFor(dir string) *importRule {
	for i := range importRules {
		if within(importRules[i].folder, dir) {
			return &importRules[i]
		}
	}
	return nil
}

func mayImport(rule *importRule, target string) bool {
	// The most special rule decides: whoever may import the contract may not import the backends below it.
	owner := ruleFor(target)
	if owner == rule {
		return true
	}
	for _, folder := range rule.may {
		if within(folder, target) && (owner == nil || within(owner.folder, folder)) {
			return true
		}
	}
	return false
}

func TestDriversStayInOnePackage(t *testing.T) {
	for _, p := range modulePackages(t) {
		for _, imported := range p.Imports {
			for driver, home := range drivers {
				if within(driver, imported) && !within(home, p.dir()) && driverParts[imported] != p.dir() {
					t.Errorf("%s imports %s: only %s may", p.dir(), imported, home)
				}
			}
		}
	}
}

func TestPurePackagesImportLittle(t *testing.T) {
	for _, p := range modulePackages(t) {
		allowed, pure := allowedOutside[p.dir()]
		if !pure {
			continue
		}
		for _, imported := range p.Imports {
			standard := !strings.Contains(strings.SplitN(imported, "/", 2)[0], ".")
			if !standard && !ours(imported) && !anyWithin(allowed, imported) {
				t.Errorf("%s imports %s: it stays pure, allowed are %v", p.dir(), imported, allowed)
			}
		}
	}
}

// within says whether target is folder or lies below it.
func within(folder, target string) bool {
	folder, target = path.Clean(folder), path.Clean(target)
	return target == folder || strings.HasPrefix(target, folder+"/")
}

func anyWithin(folders []string, target string) bool {
	for _, folder := range folders {
		if within(folder, target) {
			return true
		}
	}
	return false
}

func TestRulesThemselves(t *testing.T) {
	exporter := ruleFor("exporter/tracestoreexporter")
	for target, want := range map[string]bool{
		"exporter/tracestoreexporter/internal/metadata": true,
		"internal/tracestore":                           true,
		"internal/tracestore/pebblestore":               false,
		"extension/tracestoreextension":                 false,
		"internal/analysis":                             false,
	} {
		if got := mayImport(exporter, target); got != want {
			t.Errorf("mayImport(exporter, %s) = %v", target, got)
		}
	}
	if mayImport(ruleFor("internal/tracestore"), "internal/tracestore/pebblestore") {
		t.Error("the contract must not be allowed to import a backend")
	}
	if !mayImport(ruleFor("extension/tracestoreextension"), "internal/tracestore/pebblestore") {
		t.Error("the extension must be allowed to wire a backend in")
	}
	if ruleFor("somewhere/else") != nil {
		t.Error("an unknown folder must have no rule")
	}
}
