package traceassemblyprocessor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/journal"
	"github.com/tracewright/tracewright/processor/traceassemblyprocessor/internal/metadata"
)

// assemblyProcessor ties the stages together; doc.go draws them.
type assemblyProcessor struct {
	id        component.ID
	cfg       *Config
	logger    *zap.Logger
	telemetry *telemetry
	budget    *budget
	gate      *gate
	rejects   *rejectLog
	calls     *conventions.Calls
	senders   *senders
	health    intakeHealth
	epoch     time.Time // start of the processor's clock
	next      consumer.Traces
	fs        journal.FS // of the journal; nil for the operating system's

	// Made by Start.
	ledger     *ledger // nil without a journal
	shards     []*shard
	builder    *callBuilder
	handOn     *handOn
	cancel     context.CancelFunc // of the workers
	keeper     *keeper            // nil without storage
	unregister []func()
	replaying  sync.WaitGroup // replay
	assembling sync.WaitGroup // shards
	building   sync.WaitGroup // builder
	working    sync.WaitGroup // workers of handOn
	keeping    sync.WaitGroup // keeper
	sweeping   sync.WaitGroup // ledger
	reporting  sync.WaitGroup // health

	stop    sync.Once
	stopErr error
}

func newAssemblyProcessor(set processor.Settings, cfg *Config, next consumer.Traces) (*assemblyProcessor, error) {
	builder, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("create telemetry of trace_assembly: %w", err)
	}
	p := &assemblyProcessor{
		id:        set.ID,
		cfg:       cfg,
		logger:    set.Logger,
		telemetry: newTelemetry(builder),
		budget:    newBudget(cfg.MemoryLimitBytes),
		gate:      newGate(),
		calls:     conventions.NewCalls(),
		senders:   newSenders(cfg.TrustAnnotations),
		next:      next,
	}
	p.rejects = &rejectLog{logger: set.Logger}
	return p, nil
}

// now is the processor's clock: monotonic, and small enough to stand in every trace.
func (p *assemblyProcessor) now() time.Duration { return time.Since(p.epoch) }

// Capabilities says that the processor takes placeholders out of what it is given.
func (p *assemblyProcessor) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// Start starts the shards, the callBuilder and the workers. They live until Shutdown, not as long as ctx.
func (p *assemblyProcessor) Start(ctx context.Context, host component.Host) error {
	p.epoch = time.Now()
	shards := p.cfg.NumShards
	if shards == 0 {
		shards = runtime.GOMAXPROCS(0)
	}
	if p.cfg.Journal.HasValue() {
		var err error
		if p.ledger, err = openLedger(p.cfg, p.fs, p.telemetry, p.logger); err != nil {
			return err
		}
	}
	p.handOn = newHandOn(p, p.next, shards)
	p.builder = newCallBuilder(p, p.handOn)
	for range shards {
		p.shards = append(p.shards, newShard(p, p.builder.in, shards))
	}
	if err := p.telemetry.observe(p); err != nil {
		return fmt.Errorf("observe what is in flight: %w", err)
	}
	var err error
	if p.keeper, err = newKeeper(ctx, p, host); err != nil {
		return err
	}
	if p.keeper != nil {
		p.keeper.load(ctx, p.shards)
	}
	var workers context.Context
	workers, p.cancel = context.WithCancel(context.Background())
	for _, s := range p.shards {
		p.assembling.Go(s.run)
		p.working.Go(func() { p.handOn.work(workers) })
	}
	p.building.Go(p.builder.run)
	if p.keeper != nil {
		var keeping context.Context
		keeping, p.keeper.stop = context.WithCancel(context.Background())
		p.keeping.Go(func() { p.keeper.run(keeping, p) })
	}
	if p.ledger != nil {
		p.replaying.Go(func() { newReplay(p).run(workers) }) // opens the gate
		p.sweeping.Go(func() { p.ledger.run(p.gate.stopping) })
	} else {
		p.gate.start()
	}
	p.reporting.Go(func() { p.health.run(p, host) })
	p.registerInFlight(host)
	return nil
}

// Shutdown refuses new requests, releases everything held and waits until the next consumer has taken it, no longer than
// ctx and shutdown_timeout allow. What it has not taken by then is counted, logged and lost. It does nothing the second
// time, and without Start.
func (p *assemblyProcessor) Shutdown(ctx context.Context) error {
	p.stop.Do(func() { p.stopErr = p.shutdown(ctx) })
	return p.stopErr
}

func (p *assemblyProcessor) shutdown(ctx context.Context) error {
	defer p.telemetry.metadata.Shutdown()
	defer p.rejects.close()
	p.gate.close()
	for _, unregister := range p.unregister {
		unregister()
	}
	defer p.keeper.close(ctx)
	if p.cancel == nil { // never started, or not far enough
		return p.closeLedger()
	}
	defer p.cancel()
	p.replaying.Wait() // it heeds that the gate closes; what it did not reach waits for the next start
	p.sweeping.Wait()
	p.reporting.Wait()
	// Nobody sends to the shards any more, and neither they nor the builder wait for the next consumer.
	for _, s := range p.shards {
		close(s.in)
	}
	p.assembling.Wait()
	p.keepLearned(ctx)
	close(p.builder.in)
	p.building.Wait()

	deadline, release := context.WithTimeout(ctx, p.cfg.ShutdownTimeout)
	defer release()
	select {
	case <-p.handOn.idle:
	case <-deadline.Done():
		p.cancel()
		if err := p.abandon(); err != nil {
			return errors.Join(err, p.closeLedger()) // a processor that is started instead of this one needs its directory
		}
	}
	p.working.Wait()
	if lost := p.handOn.losses(); lost.calls > 0 {
		fields := []zap.Field{zap.Int("traces", lost.releases), zap.Int("spans", lost.spans)}
		if p.ledger != nil {
			p.logger.Warn("not everything held could be handed on before the shutdown's deadline; it stays in the journal", fields...)
		} else {
			p.logger.Error("not everything held could be handed on before the shutdown's deadline; it is lost", fields...)
		}
	}
	return p.closeLedger()
}

func (p *assemblyProcessor) closeLedger() error {
	if p.ledger == nil {
		return nil
	}
	return p.ledger.close()
}

// keepLearned saves what the shards, which have ended, learned.
func (p *assemblyProcessor) keepLearned(ctx context.Context) {
	if p.keeper == nil {
		return
	}
	p.keeper.stop()
	p.keeping.Wait()
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	var known []*knowledge
	for _, s := range p.shards {
		known = append(known, s.knowledge())
	}
	p.keeper.save(ctx, known)
}

// abandonTimeout is how long a next consumer may take to heed that its context has ended.
const abandonTimeout = time.Second

func (p *assemblyProcessor) abandon() error {
	timer := time.NewTimer(abandonTimeout)
	defer timer.Stop()
	select {
	case <-p.handOn.idle:
		return nil
	case <-timer.C:
		return errors.New("the next consumer does not return although its context has ended; shutdown does not wait for it")
	}
}
