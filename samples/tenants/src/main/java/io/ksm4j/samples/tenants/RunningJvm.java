// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.tenants;

import java.io.BufferedReader;
import java.io.EOFException;
import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A {@link TenantJvm} process. It ends when this JVM ends, because its standard input is then closed. */
final class RunningJvm implements AutoCloseable {

    private final Process process;
    private final BufferedReader output;
    private final long base;

    /** Starts the JVM and waits until it is ready to load data. */
    RunningJvm(StorageVariant variant, ReferenceData data, int tenants) throws IOException {
        long mebibytes = (data.size() >> 20) + 1;
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
                .filter(argument -> argument.matches("(--enable-native-access|-Dio\\.ksm4j\\.).*"))
                .forEach(command::add);
        // A compiler that needs little memory and a small heap, because neither is measured here.
        command.add("-XX:TieredStopAtLevel=1");
        // Records on the heap have headers, and the collector needs space to move them.
        command.add("-Xmx" + (16 + (variant == StorageVariant.OPTED_IN_HEAP ? 2L * tenants * mebibytes : 0)) + "m");
        command.add("-XX:MaxDirectMemorySize=" + (tenants * mebibytes + 1) + "m");
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), TenantJvm.class.getName()));
        command.addAll(List.of(variant.name(), data.file(), Long.toString(data.seed()), Long.toString(data.size())));
        process = new ProcessBuilder(command).redirectError(Redirect.INHERIT).start();
        output = process.inputReader(StandardCharsets.UTF_8);
        boolean ready = false;
        try {
            awaitReady();
            base = ProcessMemory.of(process.pid()).data();
            ready = true;
        } catch (IOException e) {
            throw explained(e);
        } finally {
            if (!ready) {
                close();
            }
        }
    }

    void loadTenant() throws IOException {
        try {
            process.getOutputStream().write('\n');
            process.getOutputStream().flush();
            awaitReady();
        } catch (IOException e) {
            throw explained(e);
        }
    }

    private void awaitReady() throws IOException {
        String line;
        while ((line = output.readLine()) != null) {
            if (line.equals(TenantJvm.READY)) {
                return;
            }
            System.err.println(line);
        }
        throw new EOFException("the JVM has closed its output");
    }

    /** Returns an exception that gives the exit status if the JVM has ended, which is the most likely cause. */
    private IOException explained(IOException e) {
        process.onExit().completeOnTimeout(process, 1, TimeUnit.SECONDS).join();
        return process.isAlive()
                ? e
                : new IOException("a JVM of tenants has ended, with exit status " + process.exitValue(), e);
    }

    /** Returns its memory. The data is what was added since the JVM was ready. */
    ProcessMemory memory() throws IOException {
        try {
            ProcessMemory memory = ProcessMemory.of(process.pid());
            return new ProcessMemory(memory.all(), memory.data() - base);
        } catch (IOException e) {
            throw explained(e);
        }
    }

    @Override
    public void close() {
        process.destroyForcibly();
        process.onExit().join();
    }
}
