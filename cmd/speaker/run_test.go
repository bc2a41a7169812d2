// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"testing"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/announcertest"
	"metalsuite.io/controllers/speaker"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/membership"
)

// cluster has the speakers' DaemonSet, with these arguments, or none.
type cluster struct {
	client.Reader
	args []string
}

func (c cluster) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	workload, ok := into.(*appsv1.DaemonSet)
	switch {
	case !ok:
		return nil // a node without labels and taints
	case c.args == nil:
		return apierrors.NewNotFound(appsv1.Resource("daemonsets"), key.Name)
	}
	workload.Spec.Template.Spec.Containers = []corev1.Container{{Name: key.Name, Args: c.args}}
	return nil
}

func TestWhenTheAnnouncersTakeLeave(t *testing.T) {
	ended, end := context.WithCancel(context.Background())
	end()
	for _, row := range []struct {
		name               string
		signalled, running context.Context
		args               []string
		left               int
	}{
		{"a restart", ended, context.Background(), []string{"speaker", "--log-level=info"}, 0},
		{"a restart with a flag of another version", ended, context.Background(), []string{"speaker", "--quietly", "--announcers=bgp,l2"}, 0},
		{"the end of its announcer in another version", ended, context.Background(), []string{"speaker", "--quietly", "--announcers=l2"}, 1},
		{"a removal", ended, context.Background(), nil, 1},
		{"the end of its announcer", ended, context.Background(), []string{"speaker", "--announcers=l2", "--log-level=info"}, 1},
		{"the end of all announcers", ended, context.Background(), []string{"speaker", "--announcers="}, 1},
		{"something that runs has failed", context.Background(), ended, nil, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			fake := announcertest.NewFake("bgp", announcers.Shared)
			loop := speaker.New(speaker.Options{
				Node: "n1", Members: membership.NewFake("n1"), Modules: []announcers.Announcer{fake}, Trigger: kube.NewTrigger(), Log: logr.Discard(),
			})
			installed := speaker.Installation{
				Reader: cluster{args: row.args}, Namespace: "metallb-system", DaemonSet: "speaker", Node: "n1", Announcers: announcersIn,
			}
			part(row.signalled, row.running, logr.Discard(), loop, installed)
			if fake.Left() != row.left {
				t.Errorf("left %d times, want %d", fake.Left(), row.left)
			}
		})
	}
}
