/** The pages, in the order of the menu: a page is a file of its own and one line here. */
import {
  IconArrowsDiff,
  IconBlur,
  IconCamera,
  IconListCheck,
  IconDatabase,
  IconPackage,
  IconPhotoSearch,
  IconRefresh,
  IconRoute,
  IconScale,
  IconScan,
  IconTags,
  IconUsers,
  type Icon,
} from '@tabler/icons-react';
import { lazy, type ComponentType } from 'react';
import type { Overview } from './api/schema';
import { count } from './lib/format';
import { ComparePage } from './pages/compare';
import { DataPage } from './pages/data/page';
import { JobsPage } from './pages/jobs/page';
import { OverviewPage } from './pages/overview/page';
import { PacksPage } from './pages/packs';
import { PeoplePage } from './pages/people/page';
import { CameraPage } from './pages/camera/page';
import { ProfilePage } from './pages/profile/page';
import { RolloutsPage } from './pages/rollouts/page';
import { RoundsPage } from './pages/rounds';
import { StoragePage } from './pages/storage/page';

// The canvas library is only needed here.
const ReviewPage = lazy(async () => ({ default: (await import('./pages/review/page')).ReviewPage }));
const PairsPage = lazy(async () => ({ default: (await import('./pages/pairs/page')).PairsPage }));
const AgreementPage = lazy(async () => ({ default: (await import('./pages/agreement/page')).AgreementPage }));

export interface Page {
  /** The first is where the menu leads; the others are below it. */
  readonly paths: readonly [string, ...string[]];
  readonly page: ComponentType;
  /** Without a text the page is not in the menu. */
  readonly text?: string;
  readonly icon: Icon;
  /** A word beside the text, while there is something to say. */
  readonly note?: (overview: Overview) => string | null;
}

const pending = ({ totals }: Overview) => (totals.pending > 0 ? count(totals.pending) : null);
const training = ({ round }: Overview) => (round && !['done', 'failed'].includes(round.state) ? 'training' : null);

export const PAGES: readonly Page[] = [
  { paths: ['/'], page: OverviewPage, text: 'Overview', icon: IconCamera },
  { paths: ['/cameras/:node/:camera'], page: CameraPage, icon: IconCamera },
  { paths: ['/review', '/review/:frame'], page: ReviewPage, text: 'Review', icon: IconScan, note: pending },
  { paths: ['/pairs'], page: PairsPage, text: 'Pairs', icon: IconBlur },
  { paths: ['/agreement'], page: AgreementPage, text: 'Agreement', icon: IconScale },
  { paths: ['/data'], page: DataPage, text: 'Data', icon: IconPhotoSearch },
  { paths: ['/storage'], page: StoragePage, text: 'Storage', icon: IconDatabase },
  { paths: ['/rounds'], page: RoundsPage, text: 'Rounds', icon: IconRefresh, note: training },
  { paths: ['/jobs'], page: JobsPage, text: 'Jobs', icon: IconListCheck },
  { paths: ['/packs'], page: PacksPage, text: 'Packs', icon: IconPackage },
  { paths: ['/packs/compare'], page: ComparePage, icon: IconArrowsDiff },
  { paths: ['/rollouts', '/rollouts/:id'], page: RolloutsPage, text: 'Rollouts', icon: IconRoute },
  { paths: ['/profile'], page: ProfilePage, text: 'Profile', icon: IconTags },
  { paths: ['/people'], page: PeoplePage, text: 'People', icon: IconUsers },
];
