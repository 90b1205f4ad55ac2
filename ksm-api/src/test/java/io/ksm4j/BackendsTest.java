// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.ksm4j.internal.linux.KernelConfig;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.KsmBackendProvider;
import io.ksm4j.testsupport.Warnings;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Finding backends, each time with another class path. */
class BackendsTest {

    @TempDir
    Path folder;

    private final List<URLClassLoader> loaders = new ArrayList<>();

    @AfterEach
    void closeLoaders() throws IOException {
        for (URLClassLoader loader : loaders) {
            loader.close();
        }
    }

    /** A provider whose backend works. */
    public abstract static class Working implements KsmBackendProvider {
        @Override
        public String name() {
            return getClass().getSimpleName().toLowerCase(Locale.ROOT);
        }

        @Override
        public KsmBackend open() {
            KsmBackend memory = new DirectBufferBackend();
            return (KsmBackend) Proxy.newProxyInstance(
                    KsmBackend.class.getClassLoader(),
                    new Class<?>[] {KsmBackend.class},
                    (proxy, method, arguments) ->
                            method.getName().equals("name") ? name() : method.invoke(memory, arguments));
        }
    }

    /** Tried first. */
    public static final class Best extends Working {
        @Override
        public int priority() {
            return 1000;
        }
    }

    /** Tried later. */
    public static final class Second extends Working {
        @Override
        public int priority() {
            return 10;
        }
    }

    /** Cannot work here. */
    public static final class Refusing extends Working {
        @Override
        public int priority() {
            return 2000;
        }

        @Override
        public KsmBackend open() {
            throw new UnsupportedOperationException("no native access: run Java with --some-flag");
        }
    }

    /** Cannot even be created. */
    public static final class Throwing extends Working {
        /** Called by the service loader. */
        public Throwing() {
            throw new IllegalStateException("born broken");
        }

        @Override
        public int priority() {
            return 3000;
        }
    }

    private static URL location(Class<?> type) {
        return type.getProtectionDomain().getCodeSource().getLocation();
    }

    /** A copy of ksm4j that finds these providers and no others. */
    private URLClassLoader copyWith(String... providers) throws IOException {
        Path services = Files.createDirectories(folder.resolve("META-INF/services"));
        Files.write(services.resolve(KsmBackendProvider.class.getName()), List.of(providers));
        URLClassLoader loader = new URLClassLoader(
                new URL[] {folder.toUri().toURL(), location(Ksm.class), location(BackendsTest.class)},
                ClassLoader.getPlatformClassLoader());
        loaders.add(loader);
        return loader;
    }

    /** Opens a backend in such a copy. */
    private String open(@Nullable String wanted, String... providers) throws Exception {
        URLClassLoader loader = copyWith(providers);
        Method open = loader.loadClass(Backends.class.getName()).getDeclaredMethod("open", String.class);
        open.setAccessible(true);
        Object backend;
        try {
            backend = open.invoke(null, wanted);
        } catch (InvocationTargetException e) {
            throw (Exception) e.getCause();
        }
        Method name = loader.loadClass(KsmBackend.class.getName()).getMethod("name");
        name.setAccessible(true);
        return (String) name.invoke(backend);
    }

    private String refusal(@Nullable String wanted, String... providers) {
        Throwable refused = catchThrowable(() -> open(wanted, providers));
        assertThat(refused.getClass().getName()).isEqualTo(KsmUnsupportedException.class.getName());
        assertThat(refused)
                .hasMessageContaining("io.ksm4j:ksm-ffm")
                .hasMessageContaining("io.ksm4j:ksm-jnr")
                .hasMessageContaining("io.ksm4j:ksm-jna")
                .hasMessageContaining("--enable-native-access=ALL-UNNAMED")
                .hasMessageContaining("Ksm.systemOrFallback()");
        return refused.getMessage();
    }

    private static String provider(Class<? extends KsmBackendProvider> type) {
        return type.getName();
    }

    @Test
    void theHighestPriorityWinsInAnyOrderOfFiles() throws Exception {
        assertThat(open(null, provider(Second.class), provider(Best.class))).isEqualTo("best");
        assertThat(open(null, provider(Best.class), provider(Second.class))).isEqualTo("best");
    }

    @Test
    void theRequestedBackendWins() throws Exception {
        assertThat(open("second", provider(Best.class), provider(Second.class))).isEqualTo("second");
    }

    @Test
    void skipsBackendsThatDoNotWorkHere() throws Exception {
        assertThat(open(
                        null,
                        provider(Throwing.class),
                        "io.ksm4j.NoSuchProvider",
                        provider(Refusing.class),
                        provider(Second.class)))
                .isEqualTo("second");
    }

    @Test
    void noProviderAtAll() {
        assertThat(refusal(null)).startsWith("no usable backend: none was found.");
    }

    /** {@return the warnings of a copy without a backend that falls back twice} */
    private List<String> warningsOfTwoFallbacks() throws Exception {
        Class<?> copy = copyWith().loadClass(Ksm.class.getName());
        try (Warnings warnings = Warnings.ofKsm4j()) {
            for (int i = 0; i < 2; i++) {
                Object fallback = copy.getMethod("systemOrFallback").invoke(null);
                assertThat(copy.getMethod("backend").invoke(fallback)).isEqualTo("fallback");
            }
            return warnings.messages();
        }
    }

    @Test
    void warnsOnceThatNothingMergesAlthoughTheKernelHasKsm() throws Exception {
        List<String> warnings = warningsOfTwoFallbacks();
        assertThat(warnings).hasSize(KernelConfig.hasKsm() ? 1 : 0);
        assertThat(warnings)
                .allSatisfy(warning -> assertThat(warning)
                        .contains(
                                "nothing will merge, although this kernel has KSM",
                                "none was found",
                                "io.ksm4j:ksm-jnr"));
    }

    @Test
    void doesNotWarnOfTheFallbackWithoutKsm() throws Exception {
        String system = System.getProperty("os.name");
        System.setProperty("os.name", "Plan 9");
        try {
            assertThat(warningsOfTwoFallbacks()).isEmpty();
        } finally {
            System.setProperty("os.name", system);
        }
    }

    @Test
    void listsTheBackendsIfTheNameIsUnknown() {
        assertThat(refusal("fmm", provider(Best.class), provider(Second.class)))
                .contains("\"fmm\"")
                .contains("-Dio.ksm4j.backend")
                .contains("best: not the requested backend")
                .contains("second: not the requested backend");
    }

    @Test
    void doesNotReplaceTheRequestedBackend() {
        assertThat(refusal("refusing", provider(Refusing.class), provider(Best.class)))
                .contains("refusing: no native access: run Java with --some-flag")
                .contains("best: not the requested backend");
    }

    @Test
    void listsEveryProviderWithItsReason() {
        assertThat(refusal(
                        null,
                        provider(Throwing.class),
                        "io.ksm4j.NoSuchProvider",
                        provider(Refusing.class),
                        BackendsTest.class.getName()))
                .contains("refusing: no native access: run Java with --some-flag")
                .contains(provider(Throwing.class))
                .contains("born broken")
                .contains("io.ksm4j.NoSuchProvider")
                .contains(BackendsTest.class.getName() + " not a subtype");
    }

    @Test
    void listsAProviderForANewerJava() throws IOException {
        String name = "io/ksm4j/FromTheFuture.class";
        Files.createDirectories(folder.resolve("io/ksm4j"));
        // A class file's magic number, then minor and major version: no JVM knows 0xff yet.
        Files.write(
                folder.resolve(name),
                new byte[] {(byte) 0xca, (byte) 0xfe, (byte) 0xba, (byte) 0xbe, 0, 0, 0, (byte) 0xff});
        assertThat(refusal(null, "io.ksm4j.FromTheFuture"))
                .contains("a provider for a newer Java than " + System.getProperty("java.specification.version"))
                .contains("FromTheFuture");
    }

    @Test
    void listsAProviderWhoseLibraryIsMissing() {
        assertThat(refusal(null, provider(Unlinked.class)))
                .contains("unlinked")
                .contains("NoClassDefFoundError")
                .contains("com/example/Missing");
    }

    /** Throws a linkage error, since its library is not on the class path. */
    public static final class Unlinked extends Working {
        @Override
        public int priority() {
            return 1;
        }

        @Override
        public KsmBackend open() {
            throw new NoClassDefFoundError("com/example/Missing");
        }
    }
}
