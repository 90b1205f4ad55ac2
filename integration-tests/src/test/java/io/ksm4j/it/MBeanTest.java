package io.ksm4j.it;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.MergeRegistry;
import io.ksm4j.MergeRegistryMXBean;
import io.ksm4j.RegionOptions;
import io.ksm4j.test.KsmKernel;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import javax.management.JMException;
import javax.management.JMX;
import javax.management.MBeanServer;
import javax.management.ObjectName;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** JMX clients see what the registry knows. */
class MBeanTest {

    private final MBeanServer server = ManagementFactory.getPlatformMBeanServer();
    private final MergeRegistry registry = MergeRegistry.system();
    private MergeRegistryMXBean bean;

    @BeforeEach
    void findBean() throws JMException {
        KsmKernel.require();
        ObjectName name = ObjectName.getInstance(MergeRegistryMXBean.OBJECT_NAME);
        await().until(() -> server.isRegistered(name));
        bean = JMX.newMXBeanProxy(server, name, MergeRegistryMXBean.class);
    }

    @Test
    void beanShowsWhatTheRegistryShows() {
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
    void beanListsAThousandMarksAtMost() {
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
}
