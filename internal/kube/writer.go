// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"
)

// Retry delays of a Writer: the first one after a failed write, and the longest after many.
const (
	firstRetry   = 50 * time.Millisecond
	longestRetry = 30 * time.Second
)

// Writer brings decisions to the API server, beside the path that makes them: whoever decides enqueues the key of what changed and goes
// on; workers call the write function, which looks up the newest decision for the key. So a slow or absent API server delays what
// others see, never what is decided, and many changes of one object become one write.
//
// A key is never written by two workers at once. A failed write is logged and tried again with back-off for as long as the writer runs.
type Writer[K comparable] struct {
	queue   workqueue.TypedRateLimitingInterface[K]
	workers int
	write   func(context.Context, K) error
	log     logr.Logger
}

// NewWriter returns a writer with a number of workers. The name tells queues apart in metrics.
func NewWriter[K comparable](name string, workers int, log logr.Logger, write func(context.Context, K) error) *Writer[K] {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[K](firstRetry, longestRetry)
	return &Writer[K]{
		queue:   workqueue.NewTypedRateLimitingQueueWithConfig(limiter, workqueue.TypedRateLimitingQueueConfig[K]{Name: name}),
		workers: workers,
		write:   write,
		log:     log,
	}
}

// Enqueue asks for a write of the key. It never blocks; a key that already waits is not queued twice.
func (w *Writer[K]) Enqueue(key K) { w.queue.Add(key) }

// EnqueueAfter asks for a write of the key once the delay has passed.
func (w *Writer[K]) EnqueueAfter(key K, delay time.Duration) { w.queue.AddAfter(key, delay) }

// Run works until the context ends and returns when the last worker has finished. A writer runs once.
func (w *Writer[K]) Run(ctx context.Context) error {
	var group errgroup.Group
	for range w.workers {
		group.Go(func() error {
			for w.next(ctx) {
			}
			return nil
		})
	}
	<-ctx.Done()
	w.queue.ShutDown()
	return group.Wait()
}

func (w *Writer[K]) next(ctx context.Context) bool {
	key, stop := w.queue.Get()
	if stop {
		return false
	}
	defer w.queue.Done(key)
	if ctx.Err() != nil {
		return true
	}
	if err := w.write(ctx, key); err != nil {
		w.tell(ctx, key, err)
		w.queue.AddRateLimited(key)
		return true
	}
	w.queue.Forget(key)
	return true
}

// tell logs a failure. A conflict is nothing to worry about: somebody else was first, and the next attempt builds on that.
func (w *Writer[K]) tell(ctx context.Context, key K, err error) {
	log := w.log
	if apierrors.IsConflict(err) || ctx.Err() != nil {
		log = log.V(1)
	}
	log.Info("Write failed, will retry", "key", key, "error", err.Error())
}
