package callexport

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Quiet lets each message through once a minute: exporterhelper logs every failed attempt as data that is rejected, although the call is repeated.
func Quiet(logger *zap.Logger) *zap.Logger {
	return logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Minute, 1, 0)
	}))
}
