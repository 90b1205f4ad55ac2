// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.registry;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.ksm4j.Ksm;
import io.ksm4j.ffm.FfmBackendProvider;
import io.ksm4j.it.fixtures.CodeLocation;
import io.ksm4j.jna.JnaBackendProvider;
import io.ksm4j.jnr.JnrBackendProvider;
import io.ksm4j.stats.MergeRegistryMXBean;
import io.ksm4j.testsupport.JavaCommand;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.lang.ref.WeakReference;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Queue;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.IntStream;
import javax.management.AttributeNotFoundException;
import javax.management.DynamicMBean;
import javax.management.JMException;
import javax.management.MBeanAttributeInfo;
import javax.management.MBeanInfo;
import javax.management.MBeanServer;
import javax.management.MBeanServerFactory;
import javax.management.ObjectName;
import javax.management.RuntimeMBeanException;
import javax.management.openmbean.CompositeData;
import jdk.jfr.FlightRecorder;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordingFile;
import org.awaitility.core.ConditionFactory;

/** The child JVMs of {@link ClassLoadersTest}: several copies of ksm4j, each in its own class loader. */
final class ClassLoaders {

    private static final long PAGE = 4096L * 16;
    private static final List<String> EVENTS = List.of("io.ksm4j.Mark", "io.ksm4j.Unmark", "io.ksm4j.Leak");
    private static final List<String> STATISTICS =
            List.of("io.ksm4j.KernelStatistics", "io.ksm4j.ProcessStatistics", "io.ksm4j.RegistryStatistics");
    private static final Logger LEAK_REPORTS = Logger.getLogger("io.ksm4j");

    /** A native library can be loaded by one class loader only, and JNA and jnr-ffi keep what they load. */
    private static final ClassLoader BINDINGS =
            new URLClassLoader("bindings", bindings(), ClassLoader.getPlatformClassLoader());

    private ClassLoaders() {}

    public static void main(String[] arguments) throws Exception {
        LEAK_REPORTS.setLevel(Level.OFF);
        switch (arguments[0]) {
            case "one-registry" -> oneRegistry(arguments[1], arguments[2]);
            case "bean" -> beanOutlivesItsFirstCopy();
            case "stopped-loaders" -> beanIsAnsweredThoughTheFirstLoadersAreStopped();
            case "forgotten-in-stopped-loader" -> forgottenRegionsAreReclaimedThoughTheirLoaderIsStopped(arguments[1]);
            case "unload" -> loaderIsCollected(arguments[1]);
            case "unload-while-recording" -> loaderIsCollectedWhileARecordingRuns(arguments[1]);
            case "one-tells" -> oneOfManyCopiesTellsTheFlightRecorder();
            case "start-together" -> copiesStartTogether(Integer.parseInt(arguments[1]));
            case "ask-while-joining" -> registryIsAskedForWhileTheTableIsJoined();
            case "other-layout" -> otherLayoutIsLeftAlone();
            case "no-threads" -> copiesJoinThoughThereWasNoThreadAtFirst();
            case "no-descriptors" -> copiesJoinThoughThereWasNoDescriptor();
            case "no-jmx" -> noBeanServerIsStarted();
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    // ---- One registry

    private static void oneRegistry(String firstBackend, String secondBackend) throws IOException {
        Tenant first = new Copy("first", firstBackend).tenant();
        Tenant second = new Copy("second", secondBackend).tenant();
        assertThat(first.backend()).isEqualTo(firstBackend);
        assertThat(second.backend()).isEqualTo(secondBackend);

        first.allocate(PAGE, "a");
        second.allocate(PAGE, "b");
        assertThat(first.owners()).containsExactlyInAnyOrder("a", "b");
        assertThat(second.owners()).containsExactlyInAnyOrder("a", "b");
        assertThat(second.mergeableBytes()).isEqualTo(2 * PAGE);

        overlappingMarksAreCounted(first, second);
        secretsStayOut(first, second);

        first.close("a");
        second.close("b");
        assertThat(first.openRegions()).isZero();
        assertThat(second.openRegions()).isZero();
        assertThat(second.mergeableBytes()).isZero();
        propertiesAreStrings();
    }

    private static void overlappingMarksAreCounted(Tenant first, Tenant second) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = arena.allocate(4 * PAGE, PAGE);
            first.adopt(memory.address(), 3 * PAGE, "left");
            second.adopt(memory.address() + PAGE, 3 * PAGE, "right");
            assertThat(second.mergeableBytes()).isEqualTo(6 * PAGE);
            assertThat(mergeable(memory)).containsExactly(true, true, true, true);

            first.markUnmergeable("left");
            assertThat(mergeable(memory)).containsExactly(false, true, true, true);
            second.markUnmergeable("right");
            assertThat(mergeable(memory)).containsExactly(false, false, false, false);

            first.markMergeable("left");
            second.markMergeable("right");
            second.close("right");
            assertThat(mergeable(memory)).containsExactly(true, true, true, false);
            first.close("left");
            assertThat(mergeable(memory)).containsExactly(false, false, false, false);
        }
    }

    /** One copy has memory that must never merge, and the other one opts the whole process in. */
    private static void secretsStayOut(Tenant first, Tenant second) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = arena.allocate(4 * PAGE, PAGE);
            first.adoptSecret(memory.address() + PAGE, PAGE, "secret");
            if (!second.optIn()) {
                first.close("secret");
                return;
            }
            try {
                assertThat(mergeable(memory)).containsExactly(true, false, true, true);
                second.adoptSecret(memory.address() + 2 * PAGE, PAGE, "late secret");
                assertThat(mergeable(memory)).containsExactly(true, false, false, true);
                assertThat(first.optIn()).isTrue();
                assertThat(mergeable(memory)).containsExactly(true, false, false, true);
            } finally {
                second.optOut();
            }
            assertThat(mergeable(memory)).containsExactly(false, false, false, false);
            first.close("secret");
            second.close("late secret");
        }
    }

    private static void propertiesAreStrings() {
        assertThat(System.getProperties()).allSatisfy((key, value) -> {
            assertThat(key).isInstanceOf(String.class);
            assertThat(value).isInstanceOf(String.class);
        });
        System.getProperties().list(new PrintStream(new ByteArrayOutputStream(), true, StandardCharsets.UTF_8));
    }

    /** Asserts whether each quarter of the memory has the flag {@code mg} in {@code smaps}. */
    private static List<Boolean> mergeable(MemorySegment memory) throws IOException {
        List<String> smaps = Files.readAllLines(Path.of("/proc/self/smaps"), StandardCharsets.ISO_8859_1);
        return IntStream.range(0, 4)
                .mapToObj(quarter -> isMergeable(smaps, memory.address() + quarter * PAGE))
                .toList();
    }

    private static boolean isMergeable(List<String> smaps, long address) {
        boolean inside = false;
        for (String line : smaps) {
            if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
                String[] range = line.substring(0, line.indexOf(' ')).split("-", 2);
                inside = Long.parseUnsignedLong(range[0], 16) <= address
                        && address < Long.parseUnsignedLong(range[1], 16);
            } else if (inside && line.startsWith("VmFlags:")) {
                return (line + " ").contains(" mg ");
            }
        }
        throw new AssertionError("nothing is mapped at " + Long.toHexString(address));
    }

    // ---- The MBean

    private static void beanOutlivesItsFirstCopy() throws Exception {
        Copy second = new Copy("first", "ffm").then(first -> {
            first.tenant().allocate(PAGE, "a");
            awaitBean();
            Copy next = new Copy("second", "ffm");
            next.tenant().allocate(PAGE, "b");
            assertThat(attribute("OpenRegions")).isEqualTo(2L);
            assertThat(attribute("MergeableBytes")).isEqualTo(2 * PAGE);
            assertThat(owners()).containsExactlyInAnyOrder("a", "b");
            first.tenant().close("a");
            return next;
        });
        awaitCollected("first");
        assertThat(attribute("OpenRegions")).isEqualTo(1L);
        assertThat(owners()).containsExactly("b");

        second.tenant().close("b");
        second = null;
        awaitCollected("second");
        assertThatThrownBy(() -> ManagementFactory.getPlatformMBeanServer().getAttribute(beanName(), "OpenRegions"))
                .isInstanceOf(RuntimeMBeanException.class)
                .cause()
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("ksm4j is no longer loaded");
        Copy third = new Copy("third", "ffm");
        third.tenant().allocate(PAGE, "c");
        assertThat(third.tenant().openRegions()).isEqualTo(1);
        awaitBean();
        assertThat(attribute("OpenRegions")).isEqualTo(1L);
        assertThat(owners()).containsExactly("c");
        third.tenant().close("c");
    }

    /** A web server that stops an application keeps its classes for a while, but loads no more of them. */
    private static void beanIsAnsweredThoughTheFirstLoadersAreStopped() throws Exception {
        List<Copy> stopped = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            Copy copy = new Copy("stopped", "ffm");
            copy.tenant().allocate(PAGE, "a");
            copy.tenant().close("a");
            if (i == 2) {
                // The copies before were stopped while they started, so this one had to publish the registry.
                awaitBean();
            }
            if (i % 2 == 0) {
                copy.loader.close();
            } else {
                copy.loader.refuse();
            }
            stopped.add(copy);
        }
        Copy running = new Copy("running", "ffm");
        running.tenant().allocate(PAGE, "b");
        assertThat(owners()).containsExactly("b");
        running.tenant().close("b");
        // Reachable until here, so that the MBean could have used any of them.
        assertThat(stopped).hasSize(10);
        awaitEndOf("ksm4j-mbean", "ksm4j-jfr", "ksm4j-preload");
    }

    private static void forgottenRegionsAreReclaimedThoughTheirLoaderIsStopped(String backend) throws Exception {
        Copy stopped = new Copy("stopped", backend);
        Tenant running = new Copy("running", backend).tenant();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = arena.allocate(4 * PAGE, PAGE);
            // Closing it unmarks two ranges, since another region has marked the pages between them.
            stopped.tenant().adopt(memory.address(), 4 * PAGE, "all");
            running.adopt(memory.address() + PAGE, PAGE, "second quarter");
            long allocated = stopped.tenant().allocate(PAGE, "allocated");
            long closed = stopped.tenant().allocate(PAGE, "closed");
            ByteBuffer view = stopped.tenant().buffer("closed");
            stopped.tenant().close("closed");
            awaitBean();
            // Before that, not all classes are loaded that reclaiming needs.
            awaitEndOf("ksm4j-jfr", "ksm4j-preload");
            stopped.loader.refuse();
            stopped.tenant().forget("all");
            stopped.tenant().forget("allocated");
            assertThat(view.capacity()).isEqualTo((int) PAGE);
            view = null;
            patiently().untilAsserted(() -> {
                System.gc();
                assertThat(running.owners())
                        .as("refused classes: %s", stopped.loader.refused)
                        .containsExactly("second quarter");
                assertThat(mergeable(memory)).containsExactly(false, true, false, false);
                assertThat(isMapped(allocated)).isFalse();
                assertThat(isMapped(closed)).isFalse();
                assertThat(running.leaks()).isEqualTo(2);
            });
            running.close("second quarter");
        }
    }

    private static boolean isMapped(long start) throws IOException {
        return Files.readAllLines(Path.of("/proc/self/maps"), StandardCharsets.ISO_8859_1).stream()
                .anyMatch(line -> line.startsWith(Long.toHexString(start) + "-"));
    }

    private static void awaitEndOf(String... threads) {
        patiently()
                .untilAsserted(() -> assertThat(Thread.getAllStackTraces().keySet())
                        .extracting(Thread::getName)
                        .doesNotContain(threads));
    }

    private static void awaitBean() {
        MBeanServer server = ManagementFactory.getPlatformMBeanServer();
        patiently().until(() -> server.isRegistered(beanName()));
    }

    /** All attributes of all MBeans have JDK types: with other types, reading them would need our class loader. */
    private static Object attribute(String name) {
        MBeanServer server = ManagementFactory.getPlatformMBeanServer();
        try {
            for (ObjectName bean : server.queryNames(ObjectName.getInstance("io.ksm4j:*"), null)) {
                for (MBeanAttributeInfo each : server.getMBeanInfo(bean).getAttributes()) {
                    Object value = server.getAttribute(bean, each.getName());
                    assertThat(value == null ? null : value.getClass().getClassLoader())
                            .as("%s %s", bean, each)
                            .isNull();
                }
            }
            return server.getAttribute(beanName(), name);
        } catch (JMException e) {
            throw new AssertionError(e);
        }
    }

    private static List<String> owners() {
        return Arrays.stream((CompositeData[]) attribute("Marks"))
                .map(mark -> (String) mark.get("owner"))
                .toList();
    }

    private static ObjectName beanName() {
        try {
            return ObjectName.getInstance(MergeRegistryMXBean.OBJECT_NAME);
        } catch (JMException e) {
            throw new AssertionError(e);
        }
    }

    private static void noBeanServerIsStarted() {
        Tenant tenant = new Copy("only", "ffm").tenant();
        tenant.allocate(PAGE, "a");
        assertThat(tenant.owners()).containsExactly("a");
        assertThat(Thread.getAllStackTraces().keySet())
                .extracting(Thread::getName)
                .doesNotContain("ksm4j-mbean");
        assertThat(MBeanServerFactory.findMBeanServer(null)).isEmpty();
        tenant.close("a");
    }

    // ---- Unloading

    private static void loaderIsCollected(String backend) throws Exception {
        use("first", backend, tenant -> tenant.close("a"));
        awaitCollected("first");
        use("second", backend, tenant -> tenant.forget("a"));
        awaitCollected("second");
        use("third", backend, tenant -> {
            attribute("Marks");
            tenant.close("a");
        });
        awaitCollected("third");
        new Copy("fourth", backend).then(copy -> {
            // The rest of a region that was forgotten in a loader that is unloaded.
            assertThat(copy.tenant().openRegions()).isZero();
            return null;
        });
    }

    private static void loaderIsCollectedWhileARecordingRuns(String backend) throws Exception {
        try (Recording recording = startRecording()) {
            loaderIsCollected(backend);
            recording.stop();
            assertThat(namesOfEvents(recording))
                    .contains("io.ksm4j.Mark", "io.ksm4j.Leak", "io.ksm4j.RegistryStatistics");
        }
    }

    /** The statistics are recorded at the end of every file, and so when the recording stops. */
    private static Recording startRecording() {
        Recording recording = new Recording();
        EVENTS.forEach(recording::enable);
        STATISTICS.forEach(name -> recording.enable(name).with("period", "everyChunk"));
        recording.start();
        return recording;
    }

    private static List<String> namesOfEvents(Recording stopped) throws IOException {
        Path file = Files.createTempFile("ksm4j", ".jfr");
        try {
            stopped.dump(file);
            return RecordingFile.readAllEvents(file).stream()
                    .map(event -> event.getEventType().getName())
                    .filter(name -> name.startsWith("io.ksm4j."))
                    .toList();
        } finally {
            Files.delete(file);
        }
    }

    private static void oneOfManyCopiesTellsTheFlightRecorder() throws Exception {
        Tenant first = new Copy("first", "ffm").tenant();
        Tenant second = new Copy("second", "ffm").tenant();
        first.allocate(PAGE, "a");
        second.allocate(PAGE, "b");
        awaitEndOf("ksm4j-jfr");
        Recording recording = new Recording();
        STATISTICS.forEach(name -> recording.enable(name).with("period", "endChunk"));
        recording.start();
        recording.stop();
        assertThat(namesOfEvents(recording)).containsExactlyInAnyOrderElementsOf(STATISTICS);
        recording.close();
        first.close("a");
        second.close("b");
    }

    private interface Use {
        void of(Tenant tenant);
    }

    private static void use(String name, String backend, Use use) throws Exception {
        new Copy(name, backend).then(copy -> {
            copy.tenant().allocate(PAGE, "a");
            awaitBean();
            awaitEndOf("ksm4j-jfr");
            if (FlightRecorder.isInitialized()) {
                // Ends a file of the recording, if one runs, which records the statistics.
                FlightRecorder.getFlightRecorder().takeSnapshot().close();
            }
            assertThat(copy.tenant().owners()).containsExactly("a");
            use.of(copy.tenant());
            return null;
        });
    }

    // ---- Starting

    private static void copiesStartTogether(int times) throws Exception {
        for (int i = 0; i < times; i++) {
            String name = "together " + i;
            startTogether(name);
            awaitCollected(name);
        }
    }

    private static void startTogether(String name) throws Exception {
        List<Copy> copies =
                IntStream.range(0, 4).mapToObj(i -> new Copy(name, "ffm")).toList();
        CyclicBarrier start = new CyclicBarrier(copies.size());
        ExecutorService threads = Executors.newFixedThreadPool(copies.size());
        try {
            List<Callable<Long>> starts = new ArrayList<>();
            for (Copy copy : copies) {
                starts.add(() -> {
                    start.await();
                    return copy.tenant().allocate(PAGE, "a");
                });
            }
            for (Future<Long> started : threads.invokeAll(starts)) {
                assertThat(started.get()).isPositive();
            }
        } finally {
            threads.close();
        }
        assertThat(copies).allSatisfy(copy -> {
            assertThat(copy.tenant().openRegions()).isEqualTo(copies.size());
            assertThat(copy.tenant().mergeableBytes()).isEqualTo(copies.size() * PAGE);
        });
        copies.forEach(copy -> copy.tenant().close("a"));
        assertThat(copies.getFirst().tenant().openRegions()).isZero();
    }

    /**
     * The first thread that uses the second copy waits in the MBean until another thread has initialised the registry,
     * or waits.
     */
    private static void registryIsAskedForWhileTheTableIsJoined() throws Exception {
        Copy first = new Copy("first", "ffm");
        first.tenant().allocate(PAGE, "a");
        awaitBean();
        Object shared = ManagementFactory.getPlatformMBeanServer().getAttribute(beanName(), "Shared/4");
        Copy second = new Copy("second", "ffm");
        Thread asking = new Thread(() -> second.initialize("io.ksm4j.MergeRegistry"));
        asking.setDaemon(true);
        replaceBean(attribute -> {
            asking.start();
            patiently().until(() -> !asking.isAlive() || isInitializing(asking, "io.ksm4j.MergeRegistry"));
            return shared;
        });
        Thread joining = new Thread(() -> second.tenant().allocate(PAGE, "b"));
        joining.setDaemon(true);
        joining.start();

        assertThat(joining.join(PATIENCE)).isTrue();
        assertThat(asking.join(PATIENCE)).isTrue();
        assertThat(first.tenant().owners()).containsExactlyInAnyOrder("a", "b");
        first.tenant().close("a");
        second.tenant().close("b");
    }

    private static void otherLayoutIsLeftAlone() throws Exception {
        Copy first = new Copy("first", "ffm");
        first.tenant().allocate(PAGE, "a");
        awaitBean();
        replaceBean(attribute -> {
            if (attribute.equals("Shared/0") || attribute.equals("OpenRegions")) {
                return 17L;
            }
            throw new AttributeNotFoundException(attribute);
        });
        Copy second = new Copy("second", "ffm");
        second.tenant().allocate(PAGE, "b");

        assertThat(second.tenant().owners()).containsExactly("b");
        assertThat(first.tenant().owners()).containsExactly("a");
        assertThat(ManagementFactory.getPlatformMBeanServer().getAttribute(beanName(), "OpenRegions"))
                .isEqualTo(17L);
        first.tenant().close("a");
        second.tenant().close("b");
    }

    private static void copiesJoinThoughThereWasNoThreadAtFirst() throws Exception {
        Copy first = new Copy("first", "ffm");
        CountDownLatch enough = new CountDownLatch(1);
        List<Thread> threads = new ArrayList<>();
        try {
            fillUp(() -> {
                Thread thread = new Thread(() -> awaitUninterruptibly(enough));
                thread.setDaemon(true);
                thread.start();
                threads.add(thread);
            });
            assertThat(threads).isNotEmpty();
            for (int i = 0; i < 2; i++) {
                try {
                    first.tenant().allocate(PAGE, "early");
                    first.tenant().close("early");
                } catch (OutOfMemoryError noThread) {
                    assertThat(noThread).hasMessageContaining("native thread");
                }
            }
        } finally {
            enough.countDown();
        }
        for (Thread thread : threads) {
            assertThat(thread.join(PATIENCE)).isTrue();
        }
        copiesJoin(first);
    }

    /** No descriptor is free when the MBeans are registered. */
    private static void copiesJoinThoughThereWasNoDescriptor() throws Exception {
        Copy first = new Copy("first", "ffm");
        first.tenant().allocate(PAGE, "early");
        first.tenant().close("early");
        Copy second = new Copy("second", "ffm");
        List<FileInputStream> files = new ArrayList<>();
        try {
            fillUp(() -> files.add(new FileInputStream("/dev/null")));
            assertThat(files).isNotEmpty();
            // It has failed after its pause, and waits to retry.
            patiently()
                    .until(() -> Thread.getAllStackTraces().entrySet().stream()
                            .anyMatch(thread -> thread.getKey().getName().equals("ksm4j-mbean")
                                    && Arrays.stream(thread.getValue())
                                            .map(StackTraceElement::getMethodName)
                                            .toList()
                                            .containsAll(List.of("sleep", "run"))
                                    && thread.getKey().getState() == Thread.State.TIMED_WAITING));
        } finally {
            for (FileInputStream file : files) {
                file.close();
            }
        }
        copiesJoin(first);
        second.tenant().allocate(PAGE, "c");
        assertThat(first.tenant().owners()).containsExactly("c");
        second.tenant().close("c");
    }

    private static void copiesJoin(Copy first) {
        first.tenant().allocate(PAGE, "a");
        // A start that has failed is retried when a region is opened, but not immediately.
        patiently().until(() -> {
            first.tenant().allocate(PAGE, "b");
            first.tenant().close("b");
            return ManagementFactory.getPlatformMBeanServer().isRegistered(beanName());
        });
        Copy next = new Copy("next", "ffm");
        next.tenant().allocate(PAGE, "b");
        assertThat(first.tenant().owners()).containsExactlyInAnyOrder("a", "b");
        assertThat(next.tenant().owners()).containsExactlyInAnyOrder("a", "b");
        first.tenant().close("a");
        next.tenant().close("b");
        assertThat(next.tenant().openRegions()).isZero();
    }

    private interface Taking {
        void one() throws IOException;
    }

    /** Takes one after another until none is left. */
    private static void fillUp(Taking taking) {
        try {
            while (true) {
                taking.one();
            }
        } catch (OutOfMemoryError | IOException none) {
            // None is left.
        }
    }

    private static void awaitUninterruptibly(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static boolean isInitializing(Thread thread, String className) {
        return Arrays.stream(thread.getStackTrace())
                .anyMatch(frame -> frame.getClassName().equals(className)
                        && frame.getMethodName().equals("<clinit>"));
    }

    private interface Attributes {
        Object get(String name) throws JMException;
    }

    /** Replaces the registry's MBean. */
    private static void replaceBean(Attributes attributes) throws JMException {
        MBeanServer server = ManagementFactory.getPlatformMBeanServer();
        MBeanInfo info = server.getMBeanInfo(beanName());
        server.unregisterMBean(beanName());
        Object bean = Proxy.newProxyInstance(
                ClassLoader.getPlatformClassLoader(),
                new Class<?>[] {DynamicMBean.class},
                (proxy, method, arguments) ->
                        method.getName().equals("getAttribute") ? attributes.get((String) arguments[0]) : info);
        server.registerMBean(bean, beanName());
    }

    // ---- Copies

    private interface Step<T> {
        T with(Copy copy) throws Exception;
    }

    /** All loaders that were created; weak references, to detect that they are unloaded. */
    private static final List<WeakReference<CopyLoader>> LOADERS = new ArrayList<>();

    /**
     * ksm-api, one backend and {@link IsolatedTenant} in a class loader whose parents have only the JDK and the
     * bindings.
     */
    private static final class Copy {
        private final CopyLoader loader;
        private final Object tenant;

        Copy(String name, String backend) {
            Class<?> provider = switch (backend) {
                case "ffm" -> FfmBackendProvider.class;
                case "jna" -> JnaBackendProvider.class;
                case "jnr" -> JnrBackendProvider.class;
                default -> throw new IllegalArgumentException(backend);
            };
            loader = new CopyLoader(name, new URL[] {
                url(CodeLocation.of(Ksm.class)),
                url(CodeLocation.of(provider)),
                url(CodeLocation.of(ClassLoaders.class))
            });
            LOADERS.add(new WeakReference<>(loader));
            try {
                tenant = Class.forName(IsolatedTenant.class.getName(), true, loader)
                        .getConstructor()
                        .newInstance();
            } catch (ReflectiveOperationException e) {
                throw new LinkageError("no tenant in " + name, e);
            }
        }

        void initialize(String className) {
            try {
                Class.forName(className, true, loader);
            } catch (ClassNotFoundException e) {
                throw new LinkageError(className, e);
            }
        }

        /** Uses this copy in a separate stack frame, so that the caller keeps no reference to it. */
        <T> T then(Step<T> step) throws Exception {
            return step.with(this);
        }

        /** Calls the copy from a thread with the copy's context class loader, as a web server does. */
        Tenant tenant() {
            return (Tenant) Proxy.newProxyInstance(
                    Tenant.class.getClassLoader(), new Class<?>[] {Tenant.class}, (proxy, method, arguments) -> {
                        Thread thread = Thread.currentThread();
                        ClassLoader before = thread.getContextClassLoader();
                        thread.setContextClassLoader(loader);
                        try {
                            return tenant.getClass()
                                    .getMethod(method.getName(), method.getParameterTypes())
                                    .invoke(tenant, arguments);
                        } catch (InvocationTargetException e) {
                            throw e.getCause();
                        } finally {
                            thread.setContextClassLoader(before);
                        }
                    });
        }
    }

    /**
     * Can refuse to load any class, including those of the JDK, as Tomcat's loader does after its application is
     * stopped.
     */
    private static final class CopyLoader extends URLClassLoader {

        private final Queue<String> refused = new ConcurrentLinkedQueue<>();
        private volatile boolean refuses;

        CopyLoader(String name, URL[] entries) {
            super(name, entries, BINDINGS);
        }

        void refuse() {
            refuses = true;
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (refuses) {
                refused.add(name);
                throw new IllegalStateException("stopped, and asked for " + name);
            }
            return super.loadClass(name, resolve);
        }
    }

    /** Waits until no loader of this name is left. */
    private static void awaitCollected(String name) {
        patiently().untilAsserted(() -> {
            System.gc();
            assertThat(LOADERS.stream()
                            .map(WeakReference::get)
                            .filter(Objects::nonNull)
                            .map(ClassLoader::getName))
                    .doesNotContain(name);
        });
    }

    private static ConditionFactory patiently() {
        return await().atMost(PATIENCE).pollDelay(Duration.ZERO).pollInterval(Duration.ofMillis(20));
    }

    /** Returns JNA, jnr-ffi and their dependencies. */
    private static URL[] bindings() {
        return Arrays.stream(JavaCommand.classPath().split(File.pathSeparator, -1))
                .map(Path::of)
                .filter(entry -> entry.getFileName().toString().matches("(jna|jnr-|jffi|asm).*"))
                .map(ClassLoaders::url)
                .toArray(URL[]::new);
    }

    private static URL url(Path path) {
        try {
            return path.toUri().toURL();
        } catch (MalformedURLException e) {
            throw new UncheckedIOException(e);
        }
    }
}
