package tracesourcesreceiver

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tracewright/tracewright/internal/tracesources"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/memstore"
	"github.com/tracewright/tracewright/receiver/tracesourcesreceiver/internal/metadata"
)

func TestSourceTakesSpans(t *testing.T) {
	sink := new(consumertest.TracesSink)
	host := newTestHost(newStore())
	r := start(t, host, sink, nil)
	require.Same(t, r, host.registry.manager)

	at := freePort(t)
	stored := put(t, r, otlp("shop", at), 0)
	require.Equal(t, tracesources.Running, stored.Instances[0].Health)
	require.NoError(t, send(t, at, spans("cart", 3)))
	require.Equal(t, 3, sink.SpanCount())
	i := here(t, r)
	require.Equal(t, tracesources.Running, i.Health)
	require.Equal(t, int64(1), i.Version)
	require.Equal(t, int64(3), i.Spans)
	require.InDelta(t, 3, i.SpansPerSecond, 1.5)
	require.Equal(t, []string{"cart"}, i.Services)
	require.Equal(t, []tracesources.SDK{{Name: "opentelemetry", Language: "go", Version: "1.2.3"}}, i.SDKs)
	require.WithinDuration(t, time.Now(), i.LastSeen, time.Minute)
	require.NotEmpty(t, i.ID)

	web := freePort(t)
	put(t, r, zipkin("browser", web), 0)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+web+"/api/v2/spans",
		bytes.NewReader([]byte(`[{"traceId":"0102030405060708","id":"0102030405060708","name":"get","timestamp":1,"duration":1,"localEndpoint":{"serviceName":"web"}}]`)))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusAccepted, response.StatusCode)
	list, err := r.Sources(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"web"}, list[0].Instances[0].Services)

	require.NoError(t, r.Delete(t.Context(), "shop", 1))
	require.Error(t, send(t, at, spans("cart", 1)))
	list, err = r.Sources(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	http.DefaultClient.CloseIdleConnections()
}

// A paused source listens no more and comes back as it was.
func TestPause(t *testing.T) {
	sink := new(consumertest.TracesSink)
	r := start(t, newTestHost(newStore()), sink, nil)
	at := freePort(t)
	source := otlp("shop", at)
	put(t, r, source, 0)
	require.NoError(t, send(t, at, spans("cart", 1)))
	source.Enabled = false
	put(t, r, source, 1)
	i := here(t, r)
	require.Equal(t, tracesources.Paused, i.Health)
	require.Zero(t, i.Version)
	require.Equal(t, int64(1), i.Spans, "what it took is remembered")
	require.Error(t, send(t, at, spans("cart", 1)))
	source.Enabled = true
	put(t, r, source, 2)
	require.NoError(t, send(t, at, spans("cart", 1)))
	require.Equal(t, 2, sink.SpanCount())
	require.Equal(t, int64(2), here(t, r).Spans)
}

func TestLabelsTenantAndLimitChangeWithoutAPause(t *testing.T) {
	var tenants []any
	sink := new(consumertest.TracesSink)
	next, err := consumer.NewTraces(func(ctx context.Context, td ptrace.Traces) error {
		if auth := client.FromContext(ctx).Auth; auth != nil {
			tenants = append(tenants, auth.GetAttribute("tenant"))
		}
		return sink.ConsumeTraces(ctx, td)
	})
	require.NoError(t, err)
	r := start(t, newTestHost(newStore()), next, nil)
	at := freePort(t)
	source := otlp("shop", at)
	since := put(t, r, source, 0).Instances[0].Since
	source.Labels = map[string]string{"team": "red", "service.name": "never in place of the sender's"}
	source.Tenant = "acme"
	source.Limits.SpansPerSecond = 5
	require.Equal(t, since, put(t, r, source, 1).Instances[0].Since, "the receiver is the same")
	require.Equal(t, int64(2), here(t, r).Version)

	require.NoError(t, send(t, at, spans("cart", 100)), "larger than the limit of a second, and the first")
	attrs := sink.AllTraces()[0].ResourceSpans().At(0).Resource().Attributes().AsRaw()
	require.Equal(t, "red", attrs["team"])
	require.Equal(t, "cart", attrs["service.name"])
	require.Equal(t, []any{"acme"}, tenants)

	err = send(t, at, spans("cart", 1))
	require.Equal(t, codes.Unavailable, status.Code(err), "to be sent again")
	require.ErrorContains(t, err, "5 spans a second")
	require.Equal(t, map[tracesources.Reason]int64{tracesources.OverLimit: 1}, here(t, r).Rejected)
	source.Limits.SpansPerSecond = 0
	put(t, r, source, 2)
	require.NoError(t, send(t, at, spans("cart", 1)))
}

// A bad change leaves what ran before running, also where it had to make room.
func TestBadChangeLeavesTheOldOne(t *testing.T) {
	sink := new(consumertest.TracesSink)
	store := &failingStore{Store: newStore()}
	r := start(t, newTestHost(store), sink, nil)
	at := freePort(t)
	source := otlp("shop", at)
	put(t, r, source, 0)
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()

	elsewhere := otlp("shop", taken.Addr().String())
	refusal := refused(t, r, elsewhere, 1)
	require.Equal(t, tracesources.Conflict, refusal.Kind)
	require.Equal(t, "configuration", refusal.Field)
	require.Contains(t, refusal.Detail, "address already in use")

	both := otlp("shop", at) // meets the old one on its port, and somebody else on the other
	both.Configuration["protocols"].(map[string]any)["http"] = map[string]any{"endpoint": taken.Addr().String()}
	require.Equal(t, tracesources.Conflict, refused(t, r, both, 1).Kind)

	wrong := otlp("shop", at)
	wrong.Configuration["protcols"] = map[string]any{}
	require.Contains(t, refused(t, r, wrong, 1).Detail, "protcols")

	more := otlp("shop", at)
	more.Configuration["protocols"].(map[string]any)["grpc"].(map[string]any)["max_recv_msg_size_mib"] = 8
	store.err = errors.New("the disk is full")
	for _, change := range []tracesources.Source{more, otlp("shop", freePort(t)), {Name: "shop", Type: "otlp", Configuration: more.Configuration}} {
		_, err = r.Put(t.Context(), change, 1, false)
		require.ErrorContains(t, err, "the disk is full")
	}
	store.err = nil

	i := here(t, r)
	require.Equal(t, tracesources.Running, i.Health)
	require.Equal(t, int64(1), i.Version)
	require.NoError(t, send(t, at, spans("cart", 1)))
	put(t, r, more, 1)
	require.NoError(t, send(t, at, spans("cart", 1)))
	require.Equal(t, int64(2), here(t, r).Spans)
}

func TestConcurrentChanges(t *testing.T) {
	store := newStore()
	one, other := start(t, newTestHost(store), new(consumertest.TracesSink), nil), start(t, newTestHost(store), new(consumertest.TracesSink), nil)
	at := freePort(t)
	put(t, one, otlp("shop", at), 0)
	require.Equal(t, tracesources.Conflict, refused(t, other, otlp("shop", freePort(t)), 0).Kind, "of the same name")
	paused := otlp("shop", at)
	paused.Enabled = false
	put(t, other, paused, 1)
	require.Equal(t, tracesources.Conflict, refused(t, one, otlp("shop", at), 1).Kind, "it does not know the latest")
	var refusal *tracesources.Refusal
	require.ErrorAs(t, one.Delete(t.Context(), "shop", 1), &refusal)
	put(t, one, otlp("shop", at), 2)
	require.NoError(t, one.Delete(t.Context(), "shop", 3))
	require.Equal(t, tracesources.Conflict, refused(t, other, otlp("shop", at), 3).Kind, "it is gone")
}

// What was removed elsewhere and is made anew before this instance heard of it ends first.
func TestMadeAnewElsewhere(t *testing.T) {
	store := newStore()
	fake := &reporting{}
	factory := fake.factory(func() error { return nil })
	allow := func(c *Config) { c.AllowedTypes = []string{"otlp", "reporting"} }
	one, other := start(t, newTestHost(store), new(consumertest.TracesSink), allow), start(t, newTestHost(store, factory), new(consumertest.TracesSink), allow)
	put(t, other, tracesources.Source{Name: "shop", Type: "reporting", Enabled: true}, 0)
	require.NoError(t, one.Delete(t.Context(), "shop", 1))
	put(t, other, otlp("shop", freePort(t)), 0)
	require.Equal(t, 1, fake.stops)
	require.Equal(t, tracesources.Running, other.here("shop")[0].Health)
}

// What one instance was told, others do when they ask the storage, and say so.
func TestInstancesFollow(t *testing.T) {
	store := newStore()
	sink := new(consumertest.TracesSink)
	one, other := start(t, newTestHost(store), new(consumertest.TracesSink), nil), start(t, newTestHost(store), sink, nil)
	// On one host only one of them can have a port, so it has to be given up by the first.
	at := freePort(t)
	put(t, one, otlp("shop", at), 0)
	other.poll(t.Context())
	list, err := one.Sources(t.Context())
	require.NoError(t, err)
	require.Len(t, list[0].Instances, 2)
	require.Equal(t, tracesources.Running, list[0].Instances[0].Health)
	failed := list[0].Instances[1]
	require.Equal(t, tracesources.Failed, failed.Health)
	require.Contains(t, failed.Error, "address already in use")
	require.Equal(t, other.instance, failed.ID)

	require.NoError(t, one.Shutdown(t.Context()))
	other.poll(t.Context())
	require.Equal(t, tracesources.Failed, other.here("shop")[0].Health, "it is not time to try again")
	other.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	other.poll(t.Context())
	require.Equal(t, tracesources.Running, other.here("shop")[0].Health)
	require.NoError(t, send(t, at, spans("cart", 1)))
	require.Equal(t, 1, sink.SpanCount())

	third := start(t, newTestHost(store), sink, nil)
	require.NoError(t, third.Delete(t.Context(), "shop", 1))
	other.poll(t.Context())
	require.Empty(t, other.here("shop"))
	require.Error(t, send(t, at, spans("cart", 1)))
}

// An instance on which the newest version does not start goes on with the one before.
func TestInstanceKeepsWhatRuns(t *testing.T) {
	store := newStore()
	one, other := start(t, newTestHost(store), new(consumertest.TracesSink), nil), start(t, newTestHost(store), new(consumertest.TracesSink), nil)
	at, next := freePort(t), freePort(t)
	paused := otlp("shop", at)
	paused.Enabled = false
	put(t, one, paused, 0)
	put(t, other, otlp("shop", at), 1)
	put(t, one, otlp("shop", next), 2)
	other.poll(t.Context())
	i := other.here("shop")[0]
	require.Equal(t, tracesources.Degraded, i.Health)
	require.Equal(t, int64(2), i.Version)
	require.Contains(t, i.Error, "address already in use")
	require.NoError(t, send(t, at, spans("cart", 1)))
}

func TestSourcesComeBack(t *testing.T) {
	store := newStore()
	at := freePort(t)
	first := start(t, newTestHost(store), new(consumertest.TracesSink), nil)
	put(t, first, otlp("shop", at), 0)
	broken := zipkin("broken", freePort(t))
	put(t, first, broken, 0)
	require.NoError(t, first.Shutdown(t.Context()))
	_, err := first.Put(t.Context(), otlp("late", freePort(t)), 0, false)
	require.Error(t, err, "it is stopped")

	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", broken.Configuration["endpoint"].(string))
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	second := start(t, newTestHost(store), new(consumertest.TracesSink), nil)
	require.NoError(t, send(t, at, spans("cart", 1)), "it runs when the receiver has started")
	require.Equal(t, tracesources.Failed, second.here("broken")[0].Health, "and another's failure keeps nothing from starting")
}

func TestStorageThatCannotBeRead(t *testing.T) {
	store := &failingStore{Store: newStore()}
	sink := new(consumertest.TracesSink)
	host := newTestHost(store)
	r := start(t, host, sink, nil)
	at := freePort(t)
	put(t, r, otlp("shop", at), 0)
	store.err = errRead
	r.poll(t.Context())
	require.True(t, r.pollFailing)
	require.NoError(t, send(t, at, spans("cart", 1)), "what runs runs on")
	store.err = nil
	r.poll(t.Context())
	require.False(t, r.pollFailing)
}

// lateStore fails before a time.
type lateStore struct {
	*memstore.Store
	from time.Time
}

func (s lateStore) Sources(ctx context.Context) ([]tracestore.SourceRecord, error) {
	if time.Now().Before(s.from) {
		return nil, errRead
	}
	return s.Store.Sources(ctx)
}

// A storage that does not answer at the start is asked again long before the next poll.
func TestStorageThatStartsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		paused := otlp("shop", "localhost:1")
		paused.Enabled = false
		put(t, start(t, newTestHost(store), new(consumertest.TracesSink), nil), paused, 0)
		r := start(t, newTestHost(lateStore{store, time.Now().Add(time.Second)}), new(consumertest.TracesSink), nil)
		require.Empty(t, r.here("shop"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, tracesources.Paused, r.here("shop")[0].Health)
	})
}

// reporting is a receiver that says what a test wants.
type reporting struct {
	ctx    context.Context // that of its start
	host   component.Host
	logger *zap.Logger
	stops  int
	start  error
	panics bool // when it is stopped and had not started
}

func (r *reporting) Start(ctx context.Context, host component.Host) error {
	r.ctx, r.host = ctx, host
	return r.start
}

func (r *reporting) Shutdown(context.Context) error {
	r.stops++
	if r.panics && r.start != nil {
		panic("it has not started")
	}
	return nil
}

func (r *reporting) factory(create func() error) receiver.Factory {
	return receiver.NewFactory(component.MustNewType("reporting"), func() component.Config { return &struct{}{} },
		receiver.WithTraces(func(_ context.Context, set receiver.Settings, _ component.Config, _ consumer.Traces) (receiver.Traces, error) {
			r.logger = set.Logger
			return r, create()
		}, component.StabilityLevelAlpha))
}

func TestHealth(t *testing.T) {
	fake := &reporting{}
	host := newTestHost(newStore(), fake.factory(func() error { return nil }))
	r := start(t, host, new(consumertest.TracesSink), func(c *Config) { c.AllowedTypes = []string{"reporting"} })
	put(t, r, tracesources.Source{Name: "s", Type: "reporting", Enabled: true}, 0)
	report := func(e *componentstatus.Event) { componentstatus.ReportStatus(fake.host, e) }
	report(componentstatus.NewRecoverableErrorEvent(errors.New("no broker")))
	require.Equal(t, tracesources.Degraded, here(t, r).Health)
	require.Equal(t, "no broker", here(t, r).Error)
	report(componentstatus.NewEvent(componentstatus.StatusOK))
	require.Equal(t, tracesources.Running, here(t, r).Health)
	require.Empty(t, here(t, r).Error)

	require.Nil(t, here(t, r).Warning)
	fake.logger.Info("all is well")
	require.Nil(t, here(t, r).Warning)
	fake.logger.With(zap.String("always", "x")).Warn("no broker", zap.String("broker", "kafka:9092"), zap.Error(errors.New("refused")))
	require.Equal(t, "no broker; broker: kafka:9092; error: refused", here(t, r).Warning.Text)
	require.Equal(t, tracesources.Running, here(t, r).Health)

	// The end of a source's receiver is not the collector's: it is stopped, and started again.
	report(componentstatus.NewFatalErrorEvent(errors.New("the listener is gone")))
	require.Equal(t, tracesources.Failed, here(t, r).Health)
	before := fake.host
	r.poll(t.Context())
	require.Equal(t, 1, fake.stops)
	require.NotSame(t, before, fake.host)
	require.Equal(t, tracesources.Running, here(t, r).Health)
}

// Whatever a receiver does, it is answered.
func TestReceiversThatPanicOrFail(t *testing.T) {
	fake := &reporting{start: errors.New("no")}
	panics := false
	host := newTestHost(newStore(), fake.factory(func() error {
		if panics {
			panic("odd configuration")
		}
		return nil
	}))
	r := start(t, host, new(consumertest.TracesSink), func(c *Config) { c.AllowedTypes = []string{"reporting"} })
	source := tracesources.Source{Name: "s", Type: "reporting", Enabled: true}
	require.Contains(t, refused(t, r, source, 0).Detail, "it does not start: no")
	require.Equal(t, 1, fake.stops, "what it began has ended")
	fake.panics = true
	refusal := refused(t, r, source, 0)
	require.Equal(t, "it does not start: no", refusal.Detail, "the reason is that of the start")
	require.Equal(t, 2, fake.stops)
	panics = true
	require.Contains(t, refused(t, r, source, 0).Detail, "odd configuration")
	list, err := r.Sources(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
}

// A request on which a receiver panics is answered, over gRPC too.
func TestRequestThatPanics(t *testing.T) {
	next, err := consumer.NewTraces(func(context.Context, ptrace.Traces) error { panic("odd") })
	require.NoError(t, err)
	r := start(t, newTestHost(newStore()), next, nil)
	at := freePort(t)
	put(t, r, otlp("shop", at), 0)
	for range 2 {
		require.Equal(t, codes.Internal, status.Code(send(t, at, spans("cart", 1))))
	}
	require.Contains(t, here(t, r).Warning.Text, "a receiver panicked on a request")
}

// Receivers should not keep the context of their start. One that does, and hands its spans on with it, works all the same.
func TestContextOfTheStart(t *testing.T) {
	fake := &reporting{}
	r := start(t, newTestHost(newStore(), fake.factory(func() error { return nil })), new(consumertest.TracesSink),
		func(c *Config) { c.AllowedTypes = []string{"reporting"} })
	put(t, r, tracesources.Source{Name: "s", Type: "reporting", Enabled: true}, 0)
	require.NoError(t, fake.ctx.Err())
	require.NoError(t, r.Delete(t.Context(), "s", 1))
	require.Error(t, fake.ctx.Err())
}

func TestOnlyOne(t *testing.T) {
	host := newTestHost(newStore())
	start(t, host, new(consumertest.TracesSink), nil)
	config := createDefaultConfig().(*Config)
	config.Storage = "main"
	second, err := NewFactory().CreateTraces(t.Context(), receivertest.NewNopSettings(metadata.Type), config, new(consumertest.TracesSink))
	require.NoError(t, err)
	require.ErrorContains(t, second.Start(t.Context(), host), "another one")
}

func TestStartFailsNamingTheKey(t *testing.T) {
	config := createDefaultConfig().(*Config)
	config.Storage = "mian"
	set := receivertest.NewNopSettings(metadata.Type)
	set.ID = component.NewID(metadata.Type)
	r, err := NewFactory().CreateTraces(t.Context(), set, config, new(consumertest.TracesSink))
	require.NoError(t, err)
	require.ErrorContains(t, r.Start(t.Context(), newTestHost(newStore())), `receivers::trace_sources::storage: unknown storage "mian"`)
	require.ErrorContains(t, r.Start(t.Context(), componenttest.NewNopHost()), "factories")
	require.NoError(t, r.Shutdown(t.Context()))
}
