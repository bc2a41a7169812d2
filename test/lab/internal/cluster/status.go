// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"metalsuite.io/test/lab/internal/machine"
)

// Status prints what runs on this machine and returns an error if it is not a whole lab.
func Status(ctx context.Context, out io.Writer) error {
	owner, ok := machine.ReadOwner()
	if !ok {
		return errors.New("no lab on this machine")
	}
	fmt.Fprintf(out, "checkout  %s\nnodes     %d\nproxy     %s\nbinaries  %s\n", owner.Checkout, owner.Inputs.Nodes, owner.Inputs.ProxyMode, owner.Binaries)
	names, err := machine.Daemons()
	if err != nil {
		return fmt.Errorf("listing daemons: %w", err)
	}
	dead, err := deadDaemons()
	if err != nil {
		return fmt.Errorf("listing daemons: %w", err)
	}
	fmt.Fprintf(out, "daemons   %d of %d run\n", len(names)-len(dead), len(names))
	if len(dead) > 0 {
		return fmt.Errorf("exited: %s", strings.Join(dead, " "))
	}
	if !owner.Complete {
		return errors.New("the lab is incomplete")
	}
	lab := &Lab{Checkout: owner.Checkout, Inputs: owner.Inputs, bin: owner.Binaries}
	if err := lab.awaitReady(ctx, 3*time.Second); err != nil {
		return err
	}
	fmt.Fprintln(out, "every node is Ready")
	return nil
}
