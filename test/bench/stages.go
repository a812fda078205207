package main

import "path/filepath"

const (
	bareStage     = "otlp → nop"
	assemblyStage = "trace_assembly"
	journalStage  = "trace_assembly with journal"
	decodedStage  = "decoded requests, with journal"
)

// assemblyStages are those of the CPU measure; the first is what the others are compared with.
func assemblyStages() []stage {
	assembled := func(m metrics, sent int64) bool {
		const p = "processor_trace_assembly_"
		return int64(m[p+"spans_received"]) >= sent && m[p+"spans_in_flight"] == 0 &&
			m[p+"spans_received"] == m[p+"spans_released"]+m[p+"spans_duplicate"]+m[p+"spans_rejected"]
	}
	drops := []string{"processor_trace_assembly_spans_dropped"}
	journaled := func(folder string) []component {
		journal := map[string]any{"directory": filepath.Join(folder, "journal")}
		return []component{{"trace_assembly", map[string]any{"journal": journal}}}
	}
	return []stage{
		{
			name: bareStage,
			make: func(string) pipeline { return pipeline{} },
			empty: func(m metrics, sent int64) bool {
				return int64(m[acceptedSpans]) >= sent
			},
		},
		{
			name:  assemblyStage,
			make:  func(string) pipeline { return pipeline{processors: []component{{id: "trace_assembly"}}, raw: true} },
			empty: assembled,
			drops: drops,
		},
		{
			name:  journalStage,
			make:  func(folder string) pipeline { return pipeline{processors: journaled(folder), raw: true} },
			empty: assembled,
			drops: drops,
		},
		{
			name:  decodedStage,
			once:  true,
			note:  "without raw_spans, as from receivers of other protocols: decoded, encoded, decoded again",
			make:  func(folder string) pipeline { return pipeline{processors: journaled(folder)} },
			empty: assembled,
			drops: drops,
		},
		{
			name: "groupbytrace",
			once: true,
			note: "its defaults: a wait of 1s from a trace's first span, one worker, a million traces at most",
			make: func(string) pipeline { return pipeline{processors: []component{{id: "groupbytrace"}}} },
			empty: func(m metrics, sent int64) bool {
				const p = "processor_groupbytrace_"
				return int64(m[acceptedSpans]) >= sent && m[p+"num_traces_in_memory"] == 0 && m[p+"num_events_in_queue"] == 0
			},
			drops: []string{"processor_groupbytrace_traces_evicted"},
		},
		{
			name: "tail_sampling",
			once: true,
			note: "its defaults (50,000 traces at most, one event loop) with always_sample, but decision_wait 1s: of its 30s that many traces would not see the end",
			make: func(string) pipeline {
				policy := map[string]any{"name": "all", "type": "always_sample"}
				return pipeline{processors: []component{{"tail_sampling", map[string]any{
					"decision_wait": "1s", "policies": []any{policy},
				}}}}
			},
			empty: func(m metrics, sent int64) bool {
				const p = "processor_tail_sampling_"
				return int64(m[acceptedSpans]) >= sent &&
					m[p+"new_trace_id_received"] == m[p+"global_count_traces_sampled"]+m[p+"sampling_trace_dropped_too_early"]
			},
			drops: []string{"processor_tail_sampling_sampling_trace_dropped_too_early", "processor_tail_sampling_traces_dropped_too_large"},
		},
	}
}
