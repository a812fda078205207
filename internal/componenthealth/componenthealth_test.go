package componenthealth

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componentstatus"
)

func TestRestartHelps(t *testing.T) {
	err := errors.New("broken")
	event := NeedsRestart(err)
	require.Equal(t, componentstatus.StatusPermanentError, event.Status())
	require.Equal(t, err, event.Err())
	require.True(t, RestartHelps(event))
	require.True(t, RestartHelps(componentstatus.NewFatalErrorEvent(err)))
	require.False(t, RestartHelps(componentstatus.NewPermanentErrorEvent(err)))
	require.False(t, RestartHelps(componentstatus.NewRecoverableErrorEvent(err)))
	require.False(t, RestartHelps(componentstatus.NewEvent(componentstatus.StatusOK)))
}
