// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"metalsuite.io/test/lab/image"
	"metalsuite.io/test/lab/internal/checkout"
	"metalsuite.io/test/lab/internal/cluster"
	"metalsuite.io/test/lab/internal/machine"
	"metalsuite.io/test/lab/internal/topology"
)

// inputs reads NODES, API_SERVERS and PROXY_MODE.
func inputs() (topology.Inputs, error) {
	in := topology.Inputs{Nodes: 3, APIServers: 1, ProxyMode: "nftables"}
	for name, number := range map[string]*int{"NODES": &in.Nodes, "API_SERVERS": &in.APIServers} {
		if value := os.Getenv(name); value != "" {
			parsed, err := strconv.Atoi(value)
			if err != nil {
				return in, fmt.Errorf("%s=%s: want a number", name, value)
			}
			*number = parsed
		}
	}
	if value := os.Getenv("PROXY_MODE"); value != "" {
		in.ProxyMode = value
	}
	return in, in.Validate()
}

func upCommand() *cobra.Command {
	without := false
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start the lab unless a healthy one runs (inputs: NODES, API_SERVERS, PROXY_MODE) and write .lab/env",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, err := inputs()
			if err != nil {
				return err
			}
			root, err := checkout.Root()
			if err != nil {
				return err
			}
			return (&cluster.Lab{Checkout: root, Inputs: in, WithoutSuite: without, Progress: progress()}).Up(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&without, "without-suite", false, "do not build and load the suite's own image")
	return cmd
}

func downCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop and remove the lab of this machine",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			root, err := checkout.Root()
			if err != nil {
				return err
			}
			return (&cluster.Lab{Checkout: root, Progress: progress()}).Down(cmd.Context())
		},
	}
}

func cutCommand() *cobra.Command {
	silent := false
	cmd := &cobra.Command{
		Use:   "cut NODE",
		Short: "Cut a node's link on the segment",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if silent {
				return onNode(cmd.Context(), args[0], cluster.CutSilently)
			}
			return onNode(cmd.Context(), args[0], cluster.Cut)
		},
	}
	cmd.Flags().BoolVar(&silent, "silent", false, "block the bridge port and keep the carrier up")
	return cmd
}

func healCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "heal NODE",
		Short: "Restore a node's link",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return onNode(cmd.Context(), args[0], cluster.Heal)
		},
	}
}

func onNode(ctx context.Context, name string, act func(context.Context, string) error) error {
	owner, ok := machine.ReadOwner()
	if !ok {
		return fmt.Errorf("no lab runs on this machine; start one with: lab up")
	}
	if !slices.ContainsFunc(owner.Inputs.NodeList(), func(node topology.Node) bool { return node.Name == name }) {
		return fmt.Errorf("%s is not a node of the lab; the nodes are n1 to n%d", name, owner.Inputs.Nodes)
	}
	return act(ctx, name)
}

func loadCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "load TAR...",
		Short: "Load images, as docker save writes them, on every node",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			owner, ok := machine.ReadOwner()
			if !ok {
				return fmt.Errorf("no lab runs on this machine; start one with: lab up")
			}
			for _, tar := range args {
				path, err := filepath.Abs(tar)
				if err != nil {
					return err
				}
				if err := cluster.LoadImage(cmd.Context(), owner.Inputs.NodeList(), path); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func imageCommand() *cobra.Command {
	all := false
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Build the images of this checkout and print their files",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			root, err := checkout.Root()
			if err != nil {
				return err
			}
			builder := image.Builder{Checkout: root, Folder: filepath.Join(checkout.State(root), "images")}
			return printImages(cmd.Context(), builder, all)
		},
	}
	cmd.Flags().BoolVar(&all, "all-platforms", false, "also the suite's image for linux/amd64 and linux/arm64, as an OCI layout")
	return cmd
}

func printImages(ctx context.Context, builder image.Builder, all bool) error {
	built, err := builder.Lab(ctx, true)
	if err != nil {
		return err
	}
	for _, img := range built {
		fmt.Println(img.Tar, img.Name, img.Digest)
	}
	if !all {
		return nil
	}
	folder, err := builder.AllPlatforms(ctx)
	if err == nil {
		fmt.Println(folder, image.SuiteName)
	}
	return err
}

func statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the state of the lab on this machine; exit 1 unless the lab is complete",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cluster.Status(cmd.Context(), cmd.OutOrStdout())
		},
	}
}
