// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"testing"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/announcertest"
	"metalsuite.io/controllers/speaker"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/membership"
)

// cluster answers whether it has the speakers' DaemonSet.
type cluster struct {
	client.Reader
	has bool
}

func (c cluster) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	if c.has {
		return nil
	}
	return apierrors.NewNotFound(appsv1.Resource("daemonsets"), key.Name)
}

func TestWhenTheAnnouncersTakeLeave(t *testing.T) {
	ended, end := context.WithCancel(context.Background())
	end()
	for _, row := range []struct {
		name               string
		signalled, running context.Context
		installed          bool
		left               int
	}{
		{"a restart", ended, context.Background(), true, 0},
		{"a removal", ended, context.Background(), false, 1},
		{"something that runs has failed", context.Background(), ended, false, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			fake := announcertest.NewFake("bgp", announcers.Shared)
			loop := speaker.New(speaker.Options{
				Node: "n1", Members: membership.NewFake("n1"), Modules: []announcers.Announcer{fake}, Trigger: kube.NewTrigger(), Log: logr.Discard(),
			})
			installed := speaker.Installation{Reader: cluster{has: row.installed}, Namespace: "metallb-system", DaemonSet: "speaker"}
			part(row.signalled, row.running, logr.Discard(), loop, installed)
			if fake.Left() != row.left {
				t.Errorf("left %d times, want %d", fake.Left(), row.left)
			}
		})
	}
}
