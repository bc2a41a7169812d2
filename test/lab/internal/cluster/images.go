// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"metalsuite.io/test/lab/image"
	"metalsuite.io/test/lab/internal/checkout"
	"metalsuite.io/test/lab/internal/machine"
	"metalsuite.io/test/lab/internal/netspace"
	"metalsuite.io/test/lab/internal/topology"
)

const pauseImage = image.PauseName

// LoadImage imports an image tar on every node, in parallel.
func LoadImage(ctx context.Context, nodes []topology.Node, tar string) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, node := range nodes {
		group.Go(func() error {
			cmd := netspace.Command(ctx, node.Name, "ctr", "-a", containerdSocket(node.Name), "-n", "k8s.io", "images", "import", "--no-unpack=false", tar)
			if err := netspace.Run(cmd); err != nil {
				return fmt.Errorf("loading %s on node %s: %w", filepath.Base(tar), node.Name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// buildImages builds the images that every lab has; a changed source gives another digest.
func (l *Lab) buildImages(ctx context.Context) ([]image.Built, error) {
	builder := image.Builder{Checkout: l.Checkout, Folder: filepath.Join(checkout.State(l.Checkout), "images"), Log: l.log("images")}
	built, err := builder.Lab(ctx, !l.WithoutSuite)
	if err != nil {
		return nil, fmt.Errorf("building images (log: %s): %w", l.log("images"), err)
	}
	l.Progress("%d images are built", len(built))
	return built, nil
}

// loadChanged loads those images that the nodes do not have yet, told by what was recorded after the last load.
func (l *Lab) loadChanged(ctx context.Context, images []image.Built) error {
	for _, built := range images {
		record := filepath.Join(machine.Data, "loaded-"+filepath.Base(built.Tar))
		if last, err := os.ReadFile(record); err == nil && string(last) == built.Digest {
			continue
		}
		if err := LoadImage(ctx, l.Inputs.NodeList(), built.Tar); err != nil {
			return err
		}
		if err := os.WriteFile(record, []byte(built.Digest), 0o644); err != nil {
			return fmt.Errorf("recording a loaded image: %w", err)
		}
		l.Progress("image %s is loaded on every node", built.Name)
	}
	return nil
}
