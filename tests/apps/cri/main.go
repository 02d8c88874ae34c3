// SPDX-License-Identifier: Apache-2.0
// What a kubelet asks of a container runtime (CRI, runtime.v1), for one pod of some containers, one at a time where MODE is
// "machine", all in one machine of the image "pod" where it is "shared". Prints a line for each step, "name: value"; the test compares. Usage: cri SOCKET IMAGE LOGFOLDER TEE MODE
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
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

// What comes back of a line that goes in, as `kubectl attach -i` does it.
func attach(ctx context.Context, address string) string {
	var out bytes.Buffer
	e := must(remotecommand.NewSPDYExecutor(&rest.Config{}, "POST", must(url.Parse(address))))
	err := e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: strings.NewReader("word\n"), Stdout: &out, Stderr: io.Discard})
	if err != nil {
		return "error: " + err.Error()
	}
	return strings.TrimSpace(out.String())
}

// A page by way of `kubectl port-forward`.
func forwarded(address string, port int) string {
	transport, upgrader, err := spdy.RoundTripperFor(&rest.Config{})
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: must(transport, err)}, "POST", must(url.Parse(address)))
	stop, ready := make(chan struct{}), make(chan struct{})
	defer close(stop)
	f := must(portforward.New(dialer, []string{fmt.Sprintf("0:%d", port)}, stop, ready, io.Discard, os.Stderr))
	go f.ForwardPorts()
	select {
	case <-ready:
	case <-time.After(20 * time.Second):
		return "nobody forwards"
	}
	return page(fmt.Sprintf("127.0.0.1:%d", must(f.GetPorts())[0].Local))
}

func main() {
	socket, image, logs, tee, machine := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5] == "machine"
	shared := os.Args[5] == "shared"
	ctx, cancel := context.WithTimeout(context.Background(), 150*time.Second)
	defer cancel()
	c := must(grpc.DialContext(ctx, "unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithBlock()))
	rt := cri.NewRuntimeServiceClient(c)
	pod := &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: "pod", Namespace: "test", Uid: "1"},
		Hostname:     "pod",
		LogDirectory: logs,
		Annotations:  map[string]string{"io.shelter.memory": "256M", "io.shelter.tee": tee},
		Linux:        &cri.LinuxPodSandboxConfig{},
	}
	if shared {
		pod.Annotations["io.shelter.pod"] = "pod"
	}
	id := must(rt.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: pod})).PodSandboxId
	status := must(rt.PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: id})).Status
	fmt.Println("sandbox:", status.State)
	ip := status.Network.Ip
	begin := func(name string, stdin bool, command ...string) string {
		r := must(rt.CreateContainer(ctx, &cri.CreateContainerRequest{PodSandboxId: id, SandboxConfig: pod, Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: name}, Image: &cri.ImageSpec{Image: image}, Command: command, LogPath: name + ".log",
			Stdin: stdin, StdinOnce: stdin,
			Linux: &cri.LinuxContainerConfig{Resources: &cri.LinuxContainerResources{MemoryLimitInBytes: 256 << 20}},
		}}))
		must(rt.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: r.ContainerId}))
		return r.ContainerId
	}
	state := func(id string) *cri.ContainerStatus {
		return must(rt.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: id})).Status
	}
	ended := func(id string) {
		for i := 0; i < 400 && state(id).State != cri.ContainerState_CONTAINER_EXITED; i++ {
			time.Sleep(100 * time.Millisecond)
		}
	}
	serve := func() string {
		id := begin("web", false, "httpd", "-f", "-p", "80", "-h", "/www")
		fmt.Println("page:", page(ip))
		return id
	}
	web, neighbour := "", "true"
	if !machine { // both live: they share the pod's loopback
		web = serve()
		neighbour = "wget -q -O - http://localhost/"
	}
	job := begin("job", false, "sh", "-c", neighbour+"; echo line; echo err >&2; hostname; exit 3")
	ended(job)
	fmt.Println("job:", state(job).State, state(job).ExitCode)
	text, _ := os.ReadFile(filepath.Join(logs, "job.log"))
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if f := strings.SplitN(line, " ", 4); len(f) == 4 && !strings.Contains(f[3], "simulated") {
			fmt.Println("log:", f[1], f[3])
		}
	}
	talker := begin("talker", true, "sh", "-c", "read x; echo got $x; exit 5")
	fmt.Println("attach:", attach(ctx, must(rt.Attach(ctx, &cri.AttachRequest{ContainerId: talker, Stdin: true, Stdout: true, Stderr: true})).Url))
	ended(talker)
	fmt.Println("talker:", state(talker).ExitCode)
	if machine {
		web = serve()
	}
	fmt.Println("port-forward:", forwarded(must(rt.PortForward(ctx, &cri.PortForwardRequest{PodSandboxId: id, Port: []int32{80}})).Url, 80))
	stats := must(rt.ContainerStats(ctx, &cri.ContainerStatsRequest{ContainerId: web})).Stats
	fmt.Println("memory counted:", stats.Memory.WorkingSetBytes.Value > 1<<20, "cpu counted:", stats.Cpu.UsageCoreNanoSeconds.Value > 0)
	if r, err := rt.ExecSync(ctx, &cri.ExecSyncRequest{ContainerId: web, Cmd: []string{"sh", "-c", "echo inside; exit 4"}, Timeout: 30}); err != nil {
		fmt.Println("exec: refused")
	} else {
		fmt.Println("exec:", strings.TrimSpace(string(r.Stdout)), r.ExitCode)
	}
	must(rt.StopContainer(ctx, &cri.StopContainerRequest{ContainerId: web, Timeout: 2}))
	fmt.Println("web:", state(web).State)
	for _, id := range []string{web, job, talker} {
		must(rt.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: id}))
	}
	must(rt.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: id}))
	must(rt.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: id}))
	fmt.Println("left:", len(must(rt.ListContainers(ctx, &cri.ListContainersRequest{})).Containers), len(must(rt.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})).Items))
}
