package tracesourcesreceiver

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tracewright/tracewright/internal/tracesources"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// reportAge is how old what an instance says may be, in poll intervals: it missed some, or it is gone.
const reportAge = 6

// Sources implements tracesources.Manager.
func (r *sourcesReceiver) Sources(ctx context.Context) ([]tracesources.Stored, error) {
	records, err := r.keeper.Sources(ctx)
	if err != nil {
		return nil, fmt.Errorf("read sources: %w", err)
	}
	others, err := r.otherInstances(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]tracesources.Stored, 0, len(records))
	for _, record := range records {
		stored := tracesources.Stored{Version: record.Version}
		if stored.Source, stored.Changed, err = tracesources.Decode(record.Value); err != nil {
			return nil, fmt.Errorf("source %q: %w", record.Name, err)
		}
		stored.Name = record.Name
		stored.Instances = append(r.here(record.Name), others[record.Name]...)
		list = append(list, stored)
	}
	slices.SortFunc(list, func(a, b tracesources.Stored) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// stored is an entry as it is answered to who made it.
func (r *sourcesReceiver) stored(e *entry) tracesources.Stored {
	return tracesources.Stored{Source: e.source, Version: e.record.Version, Changed: e.changed, Instances: r.here(e.record.Name)}
}

// here is how a source does on this instance; empty where it is not known yet.
func (r *sourcesReceiver) here(name string) []tracesources.Instance {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[name]
	if e == nil {
		return nil
	}
	return []tracesources.Instance{r.stateLocked(e)}
}

func (r *sourcesReceiver) stateLocked(e *entry) tracesources.Instance {
	now := r.now()
	i := tracesources.Instance{ID: r.instance, Host: r.hostname, Reported: now, Intake: e.tally.state(now)}
	s := e.running
	if s != nil {
		i.Version, i.Since, i.Warning = s.version, s.since, s.warnings.get()
	}
	var trouble error
	ended := false
	if s != nil {
		if trouble, ended = s.host.trouble(); trouble != nil {
			trouble = s.said(trouble)
		}
	}
	switch {
	case e.failure == nil && !e.source.Enabled:
		i.Health = tracesources.Paused
	case s == nil, ended:
		i.Health = tracesources.Failed
	case e.failure != nil, trouble != nil:
		i.Health = tracesources.Degraded
	default:
		i.Health = tracesources.Running
	}
	if err := cmp.Or(e.failure, trouble); err != nil {
		i.Error = err.Error()
	}
	return i
}

func (r *sourcesReceiver) countHealth() map[tracesources.Health]int64 {
	counts := make(map[tracesources.Health]int64)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		counts[r.stateLocked(e).Health]++
	}
	return counts
}

// report stores how the sources do on this instance.
func (r *sourcesReceiver) report(ctx context.Context) error {
	states := make(map[string]tracesources.Instance)
	r.mu.Lock()
	for name, e := range r.entries {
		states[name] = r.stateLocked(e)
	}
	r.mu.Unlock()
	value, err := json.Marshal(states)
	if err != nil {
		return fmt.Errorf("encode how sources do: %w", err)
	}
	return r.keeper.PutSourceReport(ctx, tracestore.SourceReport{Instance: r.instance, At: r.now(), Value: value})
}

// otherInstances is how sources do on the instances besides this one, by source.
func (r *sourcesReceiver) otherInstances(ctx context.Context) (map[string][]tracesources.Instance, error) {
	reports, err := r.keeper.SourceReports(ctx)
	if err != nil {
		return nil, fmt.Errorf("read how sources do: %w", err)
	}
	slices.SortFunc(reports, func(a, b tracestore.SourceReport) int { return strings.Compare(a.Instance, b.Instance) })
	oldest := r.now().Add(-reportAge * max(r.config.PollInterval, time.Second))
	others := make(map[string][]tracesources.Instance)
	for _, report := range reports {
		var states map[string]tracesources.Instance
		if report.Instance == r.instance || report.At.Before(oldest) || json.Unmarshal(report.Value, &states) != nil {
			continue // another version's, at the worst
		}
		for name, state := range states {
			state.Reported = report.At
			others[name] = append(others[name], state)
		}
	}
	return others, nil
}
