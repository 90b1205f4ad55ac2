// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.stats;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.MergeRegistry;
import io.ksm4j.RegionOptions;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.it.fixtures.EnabledIfKsmIsShown;
import io.ksm4j.it.fixtures.KernelFiles;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.stats.KsmStatsMXBean;
import io.ksm4j.stats.MergeRegistryMXBean;
import io.ksm4j.stats.ProcessKsmStatsMXBean;
import io.ksm4j.testsupport.PageContents;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import javax.management.JMException;
import javax.management.JMX;
import javax.management.MBeanAttributeInfo;
import javax.management.MBeanServer;
import javax.management.ObjectName;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** JMX clients see the contents of the registry. */
@EnabledIfKsm
class MBeanTest {

    private static final String KERNEL = KsmStatsMXBean.OBJECT_NAME;
    private static final String PROCESS = ProcessKsmStatsMXBean.OBJECT_NAME;

    private final MBeanServer server = ManagementFactory.getPlatformMBeanServer();
    private final MergeRegistry registry = MergeRegistry.system();
    private MergeRegistryMXBean bean;

    @BeforeEach
    void findBean() throws JMException {
        ObjectName name = ObjectName.getInstance(MergeRegistryMXBean.OBJECT_NAME);
        Ksm.system().allocate(1).close();
        await().until(() -> server.isRegistered(name));
        bean = JMX.newMXBeanProxy(server, name, MergeRegistryMXBean.class);
    }

    @Test
    void theBeanMatchesTheRegistry() {
        try (MergeRegion region = Ksm.system().allocate(1 << 20, RegionOptions.DEFAULT.withName("shown"))) {
            assertThat(bean.getOpenRegions()).isEqualTo(registry.openRegions()).isPositive();
            assertThat(bean.getMergeableBytes())
                    .isEqualTo(registry.mergeableBytes())
                    .isGreaterThanOrEqualTo(region.size());
            assertThat(bean.getLeaks()).isEqualTo(registry.leaks());
            MergeRegistry.Mark mark = registry.marksCovering(region.address()).get(0);
            assertThat(bean.getMarks())
                    .filteredOn(view -> view.getOwner().equals("shown"))
                    .singleElement()
                    .satisfies(view -> {
                        assertThat(view.getAddress()).isEqualTo(Long.toHexString(region.address()));
                        assertThat(view.getBytes()).isEqualTo(region.size());
                        assertThat(view.getSince()).isEqualTo(mark.since().toString());
                    });

            region.markUnmergeable();
            assertThat(bean.getMarks()).noneMatch(view -> view.getOwner().equals("shown"));
        }
        assertThat(bean.getOpenRegions()).isEqualTo(registry.openRegions());
    }

    @Test
    void theBeanListsAtMostAThousandMarks() {
        List<MergeRegion> regions = new ArrayList<>();
        try {
            for (int i = 0; i <= MergeRegistryMXBean.MAX_MARKS; i++) {
                regions.add(Ksm.system().allocate(1));
            }
            assertThat(registry.marks()).hasSizeGreaterThan(MergeRegistryMXBean.MAX_MARKS);
            assertThat(bean.getMarks()).hasSize(MergeRegistryMXBean.MAX_MARKS);
            assertThat(bean.getOpenRegions()).isGreaterThan(MergeRegistryMXBean.MAX_MARKS);
        } finally {
            regions.forEach(MergeRegion::close);
        }
    }

    @Test
    @EnabledIfKsm(control = true)
    void theKernelBeanMatchesTheFiles(RunningKsmd ksmd) {
        try (MergeRegion region = Ksm.system().allocate(1 << 20)) {
            mergeSome(ksmd, region);
            // Repeated if another process has changed the counters in between.
            await().untilAsserted(() -> {
                Map<String, Object> shown = attributes(KERNEL);
                Map<String, Object> expected = new TreeMap<>();
                for (Path file : KernelFiles.list()) {
                    String name = file.getFileName().toString();
                    if (!name.equals("advisor_mode")) {
                        expected.put(attributeName(name), KernelFiles.kernel(name));
                    }
                }
                expected.put("CowKsm", KernelFiles.vmstat("cow_ksm"));
                expected.put("KsmSwpinCopy", KernelFiles.vmstat("ksm_swpin_copy"));
                assertThat(shown).containsAllEntriesOf(expected);

                long pageSize = Ksm.system().pageSize();
                long shared = number(expected, "PagesShared");
                long sharing = number(expected, "PagesSharing");
                long unshared = number(expected, "PagesUnshared");
                long inFlux = number(expected, "PagesVolatile");
                long known = shared + sharing + unshared + inFlux;
                assertThat(shared).isPositive();
                Map<String, Object> derived = new TreeMap<>();
                derived.put("Available", true);
                derived.put("AdvisorMode", "none");
                derived.put("RmapItems", known);
                derived.put("UsedBytes", shared * pageSize);
                derived.put("SavedBytes", (sharing + number(expected, "KsmZeroPages")) * pageSize);
                derived.put("ProfitBytes", expected.get("GeneralProfit"));
                derived.put("SharingRatio", (double) sharing / shared);
                derived.put("WastedEffort", (double) unshared / sharing);
                derived.put("VolatileShare", (double) inFlux / known);
                derived.put("FullScanMillis", 0L); // RunningKsmd sets sleep_millisecs to 0.
                assertThat(shown).containsAllEntriesOf(derived);

                assertThat(shown).containsEntry("MaxKernelPages", null);
                shown.keySet().removeAll(expected.keySet());
                shown.keySet().removeAll(derived.keySet());
                assertThat(shown.values()).as("%s", shown).containsOnlyNulls();
            });
        }
    }

    @Test
    @EnabledIfKsm(control = true)
    void theProcessBeanMatchesTheFiles(RunningKsmd ksmd) {
        try (MergeRegion region = Ksm.system().allocate(1 << 20)) {
            mergeSome(ksmd, region);
            await().untilAsserted(() -> {
                long pageSize = Ksm.system().pageSize();
                long merging = Long.parseLong(KernelFiles.process("ksm_merging_pages"));
                long zero = Long.parseLong(KernelFiles.process("ksm_zero_pages"));
                long known = Long.parseLong(KernelFiles.process("ksm_rmap_items"));
                long profit = Long.parseLong(KernelFiles.process("ksm_process_profit"));
                assertThat(merging).isPositive();
                assertThat(attributes(PROCESS))
                        .isEqualTo(Map.of(
                                "Pid",
                                ProcessHandle.current().pid(),
                                "MergingPages",
                                merging,
                                "ZeroPages",
                                zero,
                                "RmapItems",
                                known,
                                "ProcessProfit",
                                profit,
                                "ProfitBytes",
                                profit,
                                "MergedBytes",
                                (merging + zero) * pageSize,
                                "RmapItemsPerMergedPage",
                                (double) known / merging,
                                "MergeAny",
                                KernelFiles.process("ksm_merge_any").equals("yes"),
                                "Mergeable",
                                true));
            });
        }
    }

    private static void mergeSome(RunningKsmd ksmd, MergeRegion region) {
        new PageContents(System.nanoTime(), Ksm.system().pageSize()).fill(region.buffer(), page -> page % 4);
        ksmd.awaitFullScans(3);
        ksmd.set(KsmSetting.RUN, 0);
    }

    /** Reading all attributes at once and one by one gives the same values. */
    private Map<String, Object> attributes(String bean) throws JMException {
        ObjectName name = ObjectName.getInstance(bean);
        Map<String, Object> all = new TreeMap<>();
        server.getAttributes(name, names(name))
                .asList()
                .forEach(attribute -> all.put(attribute.getName(), attribute.getValue()));
        for (String each : names(name)) {
            assertThat(server.getAttribute(name, each)).as(each).isEqualTo(all.get(each));
        }
        return all;
    }

    private String[] names(ObjectName bean) throws JMException {
        return Arrays.stream(server.getMBeanInfo(bean).getAttributes())
                .map(MBeanAttributeInfo::getName)
                .toArray(String[]::new);
    }

    private static long number(Map<String, Object> numbers, String name) {
        return (Long) numbers.get(name);
    }

    private static String attributeName(String file) {
        return Pattern.compile("(?:^|_)(.)")
                .matcher(file)
                .replaceAll(letter -> letter.group(1).toUpperCase(Locale.ROOT));
    }

    @ParameterizedTest
    @ValueSource(strings = {MergeRegistryMXBean.OBJECT_NAME, KERNEL, PROCESS})
    void everyAttributeHasADescriptionWithItsUnit(String bean) throws JMException {
        assertThat(server.getMBeanInfo(ObjectName.getInstance(bean)).getAttributes())
                .isNotEmpty()
                .allSatisfy(attribute -> {
                    String units = (String) attribute.getDescriptor().getFieldValue("units");
                    assertThat(units).isNotBlank();
                    assertThat(attribute.getDescription())
                            .doesNotStartWith(attribute.getName())
                            .endsWith(" (" + units + ")")
                            .hasSizeGreaterThan(units.length() + 10);
                    assertThat(attribute.isWritable()).isFalse();
                    String name = attribute.getName();
                    if (name.endsWith("Bytes") || name.endsWith("Profit")) {
                        assertThat(units).isEqualTo("bytes");
                    } else if (name.contains("Pages") && attribute.getType().equals("java.lang.Long")) {
                        assertThat(units).isIn("pages", "0 or 1");
                    } else if (name.contains("Milli")) {
                        assertThat(units).isEqualTo("ms");
                    } else if (attribute.getType().equals("java.lang.Double")) {
                        assertThat(units).isEqualTo("ratio");
                    }
                });
    }

    /**
     * Finds the MBeans of another JVM as JConsole does, and prints each attribute: its bean, name, open type and value.
     */
    private static final String CLIENT = """
            import com.sun.tools.attach.VirtualMachine;
            import javax.management.*;
            import javax.management.openmbean.*;
            import javax.management.remote.*;

            class Client {
                public static void main(String[] arguments) throws Exception {
                    VirtualMachine jvm = VirtualMachine.attach(arguments[0]);
                    JMXServiceURL url = new JMXServiceURL(jvm.startLocalManagementAgent());
                    jvm.detach();
                    try (JMXConnector connector = JMXConnectorFactory.connect(url)) {
                        MBeanServerConnection server = connector.getMBeanServerConnection();
                        for (ObjectName bean : server.queryNames(new ObjectName("io.ksm4j:*"), null)) {
                            for (MBeanAttributeInfo each : server.getMBeanInfo(bean).getAttributes()) {
                                OpenType<?> type = (OpenType<?>) each.getDescriptor().getFieldValue("openType");
                                Object value = server.getAttribute(bean, each.getName());
                                if (value != null && !type.isValue(value)) {
                                    throw new AssertionError(each + " is " + value);
                                }
                                System.out.println(bean + " " + each.getName() + " "
                                        + (value instanceof CompositeData[] marks ? owners(marks) : value));
                            }
                        }
                    }
                }

                static String owners(CompositeData[] marks) {
                    return java.util.Arrays.stream(marks)
                            .map(mark -> (String) mark.get("owner"))
                            .collect(java.util.stream.Collectors.joining(" "));
                }
            }
            """;

    @Tag("long")
    @EnabledIfKsmIsShown
    @Test
    void clientsReadEverythingWithoutOurClasses(@TempDir Path directory) throws IOException, JMException {
        Path client = Files.writeString(directory.resolve("Client.java"), CLIENT);
        try (MergeRegion region = Ksm.system().allocate(1, RegionOptions.DEFAULT.withName("seen-from-outside"))) {
            ChildJvm child = ChildJvm.run(
                            Path.of(System.getProperty("java.home")),
                            List.of(
                                    client.toString(),
                                    Long.toString(ProcessHandle.current().pid())))
                    .assertEndedWell();

            List<String> read = new ArrayList<>();
            for (ObjectName bean : server.queryNames(ObjectName.getInstance("io.ksm4j:*"), null)) {
                for (String attribute : names(bean)) {
                    read.add(bean + " " + attribute);
                }
            }
            assertThat(child.output().lines())
                    .extracting(line -> line.substring(0, line.lastIndexOf(' ')))
                    .containsExactlyInAnyOrderElementsOf(read);
            assertThat(child.output())
                    .contains(
                            MergeRegistryMXBean.OBJECT_NAME + " Marks seen-from-outside",
                            PROCESS + " Pid " + ProcessHandle.current().pid(),
                            KERNEL + " MaxKernelPages null",
                            KERNEL + " MaxPageSharing " + KernelFiles.kernel("max_page_sharing"));
            assertThat(region.isOpen()).isTrue();
        }
    }
}
