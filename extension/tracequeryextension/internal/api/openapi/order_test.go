package openapi

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// Answers have their members in the order in which the document tells them, which overlay.yaml repeats.
func TestMembersStandInTheOrderOfTheDocument(t *testing.T) {
	var document struct {
		Components struct {
			Schemas map[string]struct {
				Properties yaml.Node `yaml:"properties"`
			} `yaml:"schemas"`
		} `yaml:"components"`
	}
	require.NoError(t, yaml.Unmarshal(Document, &document))
	for _, value := range []any{
		SearchRequest{},
		AttributeCondition{},
		EntryCondition{},
		DurationRange{},
		CountRange{},
		Condition{},
		SpanCondition{},
		TraceCondition{},
		Structure{},
		AttributesAnswer{},
		AttributeKey{},
		AttributeValuesAnswer{},
		AttributeValue{},
		SourceRequest{},
		SourceChange{},
		SourceLimits{},
		Source{},
		SourceInstance{},
		SourceWarning{},
		SourceRejections{},
		SourceSDK{},
		HealthAnswer{},
		ComponentHealth{},
		BackupRequest{},
		Backup{},
		SearchAnswer{},
		ComparisonAnswer{},
		ComparedTrace{},
		UsualTrace{},
		Difference{},
		Total{},
		TraceSummary{},
		Operation{},
		Bottleneck{},
		Window{},
		Fault{},
		Problem{},
		ServicesAnswer{},
		ServiceNode{},
		Edge{},
		OperationsAnswer{},
		OperationStatistics{},
		Completeness{},
		PerformanceAnswer{},
		EntryPerformance{},
		LatencyPart{},
		Efficiency{},
		EntryCost{},
		ServiceCost{},
		EntryPoint{},
		OperationWait{},
		ServiceLoad{},
		OperationLimit{},
		WhatIf{},
		EntryWhatIf{},
		Sample{},
		ErrorsAnswer{},
		ErrorPattern{},
		BefallenEntry{},
		ErrorExample{},
		AbsorbedBy{},
		ErrorPoint{},
		InsightsAnswer{},
		Insight{},
		InsightAttribute{},
		Figure{},
		InsightEntry{},
		DependenciesAnswer{},
		Dependency{},
		SinglePoint{},
		Reach{},
		Suffering{},
	} {
		typ := reflect.TypeOf(value)
		var want, got []string
		// A mapping's content is its keys and values in turn.
		for i, node := range document.Components.Schemas[typ.Name()].Properties.Content {
			if i%2 == 0 {
				want = append(want, node.Value)
			}
		}
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			got = append(got, name)
		}
		require.NotEmpty(t, got, typ.Name())
		require.Equal(t, want, got, typ.Name())
	}
}
