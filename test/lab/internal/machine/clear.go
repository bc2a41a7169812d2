// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"

	"metalsuite.io/test/lab/internal/netspace"
)

const cgroupRoot = "/sys/fs/cgroup"

func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, name, args...)
}

// Clear removes everything of any lab from the machine; extra folders (other programs' that the lab filled) go too. It is no error if nothing is there.
func Clear(ctx context.Context, extra ...string) error {
	owner, known := ReadOwner()
	if err := endProcesses(ctx); err != nil {
		return err
	}
	if err := removeStrays(); err != nil {
		return err
	}
	if err := unmountBelow(Run, Data); err != nil {
		return err
	}
	if err := removeNamespaces(ctx); err != nil {
		return err
	}
	if err := removeCgroups(ctx); err != nil {
		return err
	}
	for _, folder := range append(extra, Data, Run) {
		if err := os.RemoveAll(folder); err != nil {
			return fmt.Errorf("removing %s: %w", folder, err)
		}
	}
	if known {
		// Scripts must not find the interface of a lab that is gone; its logs stay for reading.
		for _, name := range []string{"env", "kubeconfig"} {
			if err := os.Remove(filepath.Join(owner.Checkout, ".lab", name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("removing the old interface: %w", err)
			}
		}
	}
	return nil
}

// endProcesses kills the lab's processes until none is left: daemons may start others meanwhile.
func endProcesses(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	var left []int
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(context.Context) (bool, error) {
		pids, err := processes()
		if err != nil {
			return false, err
		}
		left = pids
		for _, pid := range pids {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return false, fmt.Errorf("ending process %d: %w", pid, err)
			}
		}
		return len(pids) == 0, nil
	})
	if err != nil {
		return fmt.Errorf("ending the processes of the earlier lab, %d left %v: %w", len(left), left, err)
	}
	return nil
}

// processes lists what runs for a lab: daemons by their mark, containers by their control group, and whatever else lives in a namespace of the lab.
func processes() ([]int, error) {
	spaces, err := namespaceIDs()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var pids []int
	for _, entry := range entries {
		var pid int
		if _, err := fmt.Sscanf(entry.Name(), "%d", &pid); err != nil || pid == os.Getpid() {
			continue
		}
		folder := filepath.Join("/proc", entry.Name())
		if alive(folder) && (marked(folder) || inCgroup(folder) || inNamespace(folder, spaces)) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// alive is false for a zombie: it holds nothing and only its parent can end it.
func alive(folder string) bool {
	state, _, ok := processState(folder)
	return ok && state != 'Z' && state != 'X'
}

// processState reads the state and the start time, in clock ticks since boot, from /proc/PID/stat. The command name may hold any character, so it counts from the last bracket.
func processState(folder string) (state byte, start string, ok bool) {
	stat, err := os.ReadFile(filepath.Join(folder, "stat"))
	if err != nil {
		return 0, "", false
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return 0, "", false
	}
	return fields[0][0], fields[19], true
}

func marked(folder string) bool {
	environ, err := os.ReadFile(filepath.Join(folder, "environ"))
	return err == nil && (bytes.HasPrefix(environ, []byte(Mark+"=")) || bytes.Contains(environ, []byte("\x00"+Mark+"=")))
}

func inCgroup(folder string) bool {
	content, err := os.ReadFile(filepath.Join(folder, "cgroup"))
	return err == nil && bytes.Contains(content, []byte(":/"+CgroupPrefix))
}

func inNamespace(folder string, spaces map[string]bool) bool {
	space, err := os.Readlink(filepath.Join(folder, "ns", "net"))
	return err == nil && spaces[space]
}

// namespaceIDs holds the marked namespaces as /proc/PID/ns/net names them.
func namespaceIDs() (map[string]bool, error) {
	names, err := Namespaces()
	if err != nil {
		return nil, err
	}
	var own unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &own); err != nil {
		return nil, fmt.Errorf("reading the own network namespace: %w", err)
	}
	ids := map[string]bool{}
	for _, name := range names {
		var stat unix.Stat_t
		// A file that is no namespace (made, but not mounted when its maker was killed) has no members.
		if unix.Stat(netspace.Path(name), &stat) == nil && stat.Ino != own.Ino {
			ids[fmt.Sprintf("net:[%d]", stat.Ino)] = true
		}
	}
	return ids, nil
}

// unmountBelow detaches every mount below the folders, the youngest first.
func unmountBelow(folders ...string) error {
	points, err := mountsBelow(folders)
	if err != nil {
		return err
	}
	for _, point := range slices.Backward(points) {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmounting %s: %w", point, err)
		}
	}
	if points, err = mountsBelow(folders); err == nil && len(points) > 0 {
		err = fmt.Errorf("still mounted: %s", strings.Join(points, " "))
	}
	return err
}

func mountsBelow(folders []string) ([]string, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	defer func() { _ = file.Close() }()
	var points []string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		below := func(folder string) bool { return fields[4] == folder || strings.HasPrefix(fields[4], folder+"/") }
		if len(fields) > 4 && slices.ContainsFunc(folders, below) {
			points = append(points, strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(fields[4]))
		}
	}
	return points, lines.Err()
}

// removeStrays removes what the lab's programs put into folders that they share with others: the sockets of containers' shims, which each shim's folder names, and
// the kubelet's links to the logs of containers.
func removeStrays() error {
	// Glob fails on a bad pattern only.
	shims, _ := filepath.Glob(filepath.Join(Run, "*", "containerd", "io.containerd.runtime.v2.task", "*", "*", "address"))
	var strays []string
	for _, shim := range shims {
		if address, err := os.ReadFile(shim); err == nil {
			strays = append(strays, strings.TrimPrefix(strings.TrimSpace(string(address)), "unix://"))
		}
	}
	links, _ := filepath.Glob("/var/log/containers/*.log")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, Data+"/") {
			strays = append(strays, link)
		}
	}
	for _, stray := range strays {
		if err := os.Remove(stray); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing what a container left: %w", err)
		}
	}
	return nil
}

func removeNamespaces(ctx context.Context) error {
	names, err := Namespaces()
	if err != nil {
		return err
	}
	for _, name := range names {
		if netspace.Exists(name) {
			if err := netspace.Run(command(ctx, "ip", "netns", "del", name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeCgroups removes the lab's control groups, deepest first, on version 1 (a hierarchy per controller) and 2 alike. The kernel needs a moment to forget killed tasks.
func removeCgroups(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var last error
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(context.Context) (bool, error) {
		last = nil
		for _, root := range cgroups() {
			if err := removeTree(root); err != nil {
				last = err
			}
		}
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("removing control groups: %w", errors.Join(err, last))
	}
	return nil
}

func cgroups() []string {
	// Glob fails on a bad pattern only.
	flat, _ := filepath.Glob(filepath.Join(cgroupRoot, CgroupPrefix+"*"))
	perController, _ := filepath.Glob(filepath.Join(cgroupRoot, "*", CgroupPrefix+"*"))
	return append(flat, perController...)
}

func removeTree(root string) error {
	var folders []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			folders = append(folders, path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, folder := range slices.Backward(folders) {
		if err := unix.Rmdir(folder); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("removing %s: %w", folder, err)
		}
	}
	return nil
}
