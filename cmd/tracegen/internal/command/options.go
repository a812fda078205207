package command

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tracewright/tracewright/cmd/tracegen/internal/send"
	"github.com/tracewright/tracewright/internal/tracegen/schedule"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

// options are the flags of a run that sends.
type options struct {
	endpoint, protocol     string
	rate                   float64
	total                  int
	duration               time.Duration
	seed                   uint64
	concurrency, reuse     int
	batchDelay, spanWindow time.Duration
	jitter                 float64
	behind                 map[int]time.Duration
	burst                  schedule.Burst
	consumerDelay          shop.Delays
	late                   schedule.Late
	duplicates             float64
	shuffle, giveUp        time.Duration
	faults                 []shop.Fault
	mix                    map[string]int
	journeys               bool
	tenants                int
	expect                 string
	access                 accessFlags
}

const (
	defaultTotal      = 1000
	defaultBatchDelay = time.Second
	// defaultJitter is how exact the timers of SDKs are.
	defaultJitter = 0.05
	defaultWindow = 10 * time.Second
	// maxWindow keeps the spans within what a search looks at by default.
	maxWindow = time.Hour
	// defaultPool is the most traces that are encoded where --reuse does not say: about half a gigabyte.
	defaultPool = 50_000
	maxTotal    = 1_000_000_000
)

const usageText = `tracegen sends the traces of a simulated shop of 25 services to an OTLP receiver, and knows the truth about them.

  tracegen [flags]               send
  tracegen verify FILE [flags]   compare what --expect FILE says with Tracewright's answers (tracegen verify --help)
  tracegen replay FILE… [flags]  send traces that others saved, of OTLP, Jaeger or Zipkin (tracegen replay --help)

Examples:
  tracegen --total 20000 --expect e.jsonl                as fast as it is taken
  tracegen --rate 100 --duration 10m --fault inventory:errors=20%
  tracegen --rate 500 --total 30000 --batch-delay 5s --late 1% --dup 1% --shuffle 3s --expect e.jsonl

Flags:
`

func (o *options) flags() *flag.FlagSet {
	f := flag.NewFlagSet("tracegen", flag.ContinueOnError)
	f.StringVar(&o.endpoint, "endpoint", "", "where the receiver is (default localhost:4317, or localhost:4318 for http); https:// before it for TLS")
	f.StringVar(&o.protocol, "protocol", send.GRPC, "OTLP over grpc or http")
	f.Float64Var(&o.rate, "rate", 0, "traces a second; 0 for as fast as they are taken")
	f.IntVar(&o.total, "total", 0, "number of traces (default 1000, where there is no --duration)")
	f.DurationVar(&o.duration, "duration", 0, "how long to send, instead of --total")
	f.Uint64Var(&o.seed, "seed", 0, "decides everything but the time: two runs with one seed send the same ids; 0 for another one each time")
	f.IntVar(&o.concurrency, "concurrency", 4, "connections, each with one request at a time")
	f.IntVar(&o.reuse, "reuse", 0, "encode this many traces and send them again and again with new ids and times; 0 for up to 50000")
	f.DurationVar(&o.batchDelay, "batch-delay", defaultBatchDelay, "with --rate: time between two requests of one instance of a service, as its SDK has it (5s by default there)")
	o.jitter = defaultJitter
	f.Func("jitter", "with --rate: share `P` of --batch-delay by which a request is at most late (default 5%)", func(text string) (err error) {
		o.jitter, err = shop.ParseShare(text)
		return err
	})
	f.Func("burst", "with --rate: traffic comes in bursts, as `factor/for/every`: 20x/2s/20s (in 2 s of every 20 s traces begin\n"+
		"20 times as often as in the rest; --rate is the mean)", func(text string) (err error) {
		o.burst, err = schedule.ParseBurst(text)
		return err
	})
	f.Func("behind", "a service whose requests leave later than those of all others, as `service:delay`, as often as wanted:\n"+
		"inventory:3s", func(text string) error {
		service, delay, err := schedule.ParseBehind(text)
		if err == nil {
			if o.behind == nil {
				o.behind = map[int]time.Duration{}
			}
			o.behind[service] = delay
		}
		return err
	})
	f.Func("consumer-delay", "how long messages wait for their consumer, as `min-max`: 2s-30s (most are short waits)", func(text string) (err error) {
		o.consumerDelay, err = shop.ParseDelays(text)
		return err
	})
	f.DurationVar(&o.spanWindow, "span-window", defaultWindow, "without --rate: traces begin within this time before they are sent")
	f.Func("late", "share `P` of the spans that leave late, as 1%: 5 s to 20 s after the rest of their trace; 1%:2s-8s for other bounds", func(text string) (err error) {
		o.late, err = schedule.ParseLate(text)
		return err
	})
	f.Func("dup", "share `P` of the spans that are sent again within 5 s, as 1%", func(text string) (err error) {
		o.duplicates, err = shop.ParseShare(text)
		return err
	})
	f.DurationVar(&o.shuffle, "shuffle", 0, "delay each request by a random time up to this")
	f.Func("fault", "something that goes wrong, as `service:what`, as often as wanted: inventory:errors=20% (of its calls fail),\n"+
		"payment:latency=x5 (its own work is slower), inventory:context=12% (of its calls begin a new trace),\n"+
		"checkout:retries=30% (of the calls that it makes are refused once or twice first; 30% is the default),\n"+
		"payment:overload=30% (the same of the calls that it gets), payment:capacity=400 (it takes so many traces a second at most:\n"+
		"with --rate its work takes 1/(1-rate/400) as long); errors and latency of one version: catalog@8.12.0:latency=x3", func(text string) error {
		fault, err := shop.ParseFault(text)
		o.faults = append(o.faults, fault)
		return err
	})
	f.Func("mix", "an entry that is chosen more often than usual, as `entry:factor`, as often as wanted: \"POST /checkout:5\"", func(text string) error {
		entry, factor, err := shop.ParseMix(text)
		if err == nil {
			if o.mix == nil {
				o.mix = map[string]int{}
			}
			o.mix[entry] = factor
		}
		return err
	})
	f.BoolVar(&o.journeys, "journeys", false, "make traces steps of journeys of customers (session.id): product, cart, checkout")
	f.IntVar(&o.tenants, "tenants", 0, "spread the traces over tenant-1, tenant-2, … by the header "+send.TenantHeader+"; 0 to send none")
	f.DurationVar(&o.giveUp, "give-up", time.Minute, "how long a request is repeated that the receiver cannot take; then the run ends")
	f.StringVar(&o.expect, "expect", "", "write the truth about what was sent to this file")
	o.access.register(f)
	f.Usage = func() {
		fmt.Fprint(f.Output(), usageText)
		printFlags(f)
	}
	return f
}

// validate reports all faults of the flags and fills in what others decide.
func (o *options) validate(set map[string]bool) error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(o.protocol == send.GRPC || o.protocol == send.HTTP, "--protocol must be grpc or http, not %q", o.protocol)
	check(o.rate >= 0 && !math.IsInf(o.rate, 0), "--rate must not be negative")
	check(o.total >= 0 && o.total <= maxTotal, "--total must be between 0 and %d", maxTotal)
	check(o.duration >= 0, "--duration must not be negative")
	check(o.total == 0 || o.duration == 0, "--total and --duration: give one of them")
	check(o.rate*o.duration.Seconds() <= maxTotal, "--rate times --duration must not be more than %d traces", maxTotal)
	check(o.concurrency >= 1 && o.concurrency <= 1000, "--concurrency must be between 1 and 1000")
	check(o.reuse >= 0, "--reuse must not be negative")
	check(o.batchDelay > 0, "--batch-delay must be positive")
	check(o.rate > 0 || !set["batch-delay"], "--batch-delay needs --rate: without it no time passes between two spans")
	check(o.rate > 0 || !set["jitter"], "--jitter needs --rate: without it no request has a time to leave at")
	check(o.rate > 0 || !set["burst"], "--burst needs --rate, which is its mean")
	check(!(o.rate > 0) || o.burst.Every == 0 || o.pool() > 0,
		"--burst: what is sent again and again must be whole periods, of %.6g traces each: give them as --reuse (50000 traces take about half a gigabyte)",
		o.rate*o.burst.Every.Seconds())
	capacity := slices.ContainsFunc(o.faults, func(f shop.Fault) bool { return f.Kind == shop.FaultCapacity })
	check(o.rate > 0 || !capacity, "--fault …:capacity needs --rate, which it is a limit of")
	check(o.spanWindow > 0 && o.spanWindow <= maxWindow, "--span-window must be positive and at most 1h")
	check(o.rate == 0 || !set["span-window"], "--span-window is for runs without --rate: with it traces begin when their time comes")
	check(o.shuffle >= 0, "--shuffle must not be negative")
	check(o.tenants >= 0 && o.tenants <= 10_000, "--tenants must be between 0 and 10000")
	check(o.giveUp >= 0, "--give-up must not be negative")
	o.endpoint = orDefault(o.endpoint, o.protocol)
	if o.rate == 0 {
		o.batchDelay = 0
	}
	return errors.Join(faults...)
}

// count is the number of traces to send; 0 where only time decides.
func (o *options) count() int {
	switch {
	case o.total > 0:
		return o.total
	case o.duration == 0:
		return defaultTotal
	case o.rate > 0:
		return max(1, int(math.Round(o.rate*o.duration.Seconds())))
	}
	return 0
}

// pool is how many traces are encoded. Those that are sent more than once are whole periods of a burst, so that each time begins where one
// does; 0 where no number of them is.
func (o *options) pool() int {
	limit := defaultPool
	if o.reuse > 0 {
		limit = o.reuse
	}
	n := o.count()
	if n > 0 && n <= limit {
		return n
	}
	if o.burst.Every == 0 {
		return limit
	}
	period := o.rate * o.burst.Every.Seconds()
	for periods := math.Floor(float64(limit) / period); periods > 0; periods-- {
		if whole := math.Round(periods * period); math.Abs(whole-periods*period) < 1e-6 {
			return int(whole)
		}
	}
	return 0
}

func (o *options) schedule() *schedule.Options {
	return &schedule.Options{
		Seed: o.seed, Rate: o.rate, BatchDelay: o.batchDelay, Window: o.spanWindow, Late: o.late, Duplicates: o.duplicates,
		Shuffle: o.shuffle, Jitter: o.jitter, Behind: o.behind, Burst: o.burst,
	}
}

func (o *options) shop() shop.Options {
	return shop.Options{
		Seed: o.seed, Tenants: o.tenants, Faults: o.faults, ConsumerDelay: o.consumerDelay,
		Load: o.rate, Mix: o.mix, Journeys: o.journeys,
	}
}

func (o *options) tenantNames() []string {
	var names []string
	for i := range o.tenants {
		names = append(names, fmt.Sprintf("tenant-%d", i+1))
	}
	return names
}

// orDefault is the endpoint, or where receivers of a protocol usually are.
func orDefault(endpoint, protocol string) string {
	switch {
	case endpoint != "":
		return endpoint
	case protocol == send.HTTP:
		return "localhost:4318"
	default:
		return "localhost:4317"
	}
}
