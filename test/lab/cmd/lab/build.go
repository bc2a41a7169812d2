// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"metalsuite.io/test/lab/internal/binaries"
	"metalsuite.io/test/lab/internal/checkout"
)

func buildCommand() *cobra.Command {
	only := "all"
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build the Kubernetes binaries and print their folder",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			names, ok := map[string][]string{"all": binaries.All, "envtest": binaries.Envtest}[only]
			if !ok {
				return fmt.Errorf("--only %s: want all or envtest", only)
			}
			root, err := checkout.Root()
			if err != nil {
				return err
			}
			folder, err := binaries.Builder{Checkout: root, Progress: progress()}.Build(cmd.Context(), names)
			if err == nil {
				fmt.Println(folder)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&only, "only", only, "all, or envtest: just etcd, kubectl and kube-apiserver")
	return cmd
}
