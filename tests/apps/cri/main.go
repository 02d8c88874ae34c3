// SPDX-License-Identifier: Apache-2.0
// What a kubelet asks of a container runtime (CRI, runtime.v1), for one pod of two containers. Prints a line for each step,
// "name: value"; the test compares. Usage: cri SOCKET IMAGE LOGFOLDER
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Println("error:", strings.ReplaceAll(err.Error(), "\n", " "))
		os.Exit(1)
	}
	return value
}

func page(address string) string {
	client := http.Client{Timeout: 2 * time.Second}
	for i := 0; i < 100; i++ {
		r, err := client.Get("http://" + address + "/")
		if err == nil {
			defer r.Body.Close()
			text, _ := io.ReadAll(r.Body)
			return strings.TrimSpace(string(text))
		}
		time.Sleep(100 * time.Millisecond)
	}
	return "nothing"
}

func main() {
	socket, image, logs := os.Args[1], os.Args[2], os.Args[3]
	ctx, cancel := context.WithTimeout(context.Background(), 150*time.Second)
	defer cancel()
	c := must(grpc.DialContext(ctx, "unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithBlock()))
	rt := cri.NewRuntimeServiceClient(c)
	pod := &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: "pod", Namespace: "test", Uid: "1"},
		Hostname:     "pod",
		LogDirectory: logs,
		Annotations:  map[string]string{"io.shelter.memory": "256M"},
		Linux:        &cri.LinuxPodSandboxConfig{},
	}
	id := must(rt.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: pod})).PodSandboxId
	status := must(rt.PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: id})).Status
	fmt.Println("sandbox:", status.State)
	ip := status.Network.Ip
	make := func(name string, command ...string) string {
		r := must(rt.CreateContainer(ctx, &cri.CreateContainerRequest{PodSandboxId: id, SandboxConfig: pod, Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: name}, Image: &cri.ImageSpec{Image: image}, Command: command, LogPath: name + ".log",
			Linux: &cri.LinuxContainerConfig{Resources: &cri.LinuxContainerResources{MemoryLimitInBytes: 256 << 20}},
		}}))
		must(rt.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: r.ContainerId}))
		return r.ContainerId
	}
	state := func(id string) *cri.ContainerStatus {
		return must(rt.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: id})).Status
	}
	web := make("web", "httpd", "-f", "-p", "80", "-h", "/www")
	fmt.Println("page:", page(ip))
	job := make("job", "sh", "-c", "echo line; echo err >&2; hostname; exit 3")
	for i := 0; i < 200 && state(job).State != cri.ContainerState_CONTAINER_EXITED; i++ {
		time.Sleep(100 * time.Millisecond)
	}
	fmt.Println("job:", state(job).State, state(job).ExitCode)
	text, _ := os.ReadFile(filepath.Join(logs, "job.log"))
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if f := strings.SplitN(line, " ", 4); len(f) == 4 && !strings.Contains(f[3], "simulated") {
			fmt.Println("log:", f[1], f[3])
		}
	}
	stats := must(rt.ContainerStats(ctx, &cri.ContainerStatsRequest{ContainerId: web})).Stats
	fmt.Println("memory counted:", stats.Memory.WorkingSetBytes.Value > 1<<20, "cpu counted:", stats.Cpu.UsageCoreNanoSeconds.Value > 0)
	if r, err := rt.ExecSync(ctx, &cri.ExecSyncRequest{ContainerId: web, Cmd: []string{"sh", "-c", "echo inside; exit 4"}, Timeout: 30}); err != nil {
		fmt.Println("exec: refused")
	} else {
		fmt.Println("exec:", strings.TrimSpace(string(r.Stdout)), r.ExitCode)
	}
	must(rt.StopContainer(ctx, &cri.StopContainerRequest{ContainerId: web, Timeout: 2}))
	fmt.Println("web:", state(web).State)
	for _, id := range []string{web, job} {
		must(rt.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: id}))
	}
	must(rt.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: id}))
	must(rt.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: id}))
	fmt.Println("left:", len(must(rt.ListContainers(ctx, &cri.ListContainersRequest{})).Containers), len(must(rt.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})).Items))
}
