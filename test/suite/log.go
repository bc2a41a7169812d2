// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"io"
	"log/slog"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// LogTo makes the client libraries log to a writer, warnings and errors only. Every program of the tests needs it: without a logger
// controller-runtime prints a stack trace 30 s after the start. Only the first call counts for controller-runtime.
func LogTo(w io.Writer) {
	logger := logr.FromSlogHandler(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
	log.SetLogger(logger)
	klog.SetLogger(logger)
}
